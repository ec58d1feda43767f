package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/cmd/coracle/hint"
	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/fence"
	"github.com/coracle-run/coracle/oci/store"
)

const (
	// apartFlag makes a pull that of a run: it answers on apartSocket, not to a person.
	apartFlag   = "apart"
	apartSocket = 3

	// apartPatience is how long such a pull may take to end when its run does.
	apartPatience = 10 * time.Second
)

// confine makes this process one that changes nothing but the store, as far as the kernel can be had to see to it. It is for
// commands that unpack what strangers have packed, and that start nothing but what fence.Outside starts.
func confine(s *store.Store) error {
	return fence.Around(append(s.Branches(), s.Dirs().Data, s.Dirs().Layers)...)
}

// answer is what a pull tells the run that it is for.
type answer struct {
	Image       store.Image
	RawManifest []byte
	RawConfig   []byte
	Error, Hint string // of a pull that failed
}

// apartError is what a pull in a process of its own failed by.
type apartError struct{ text, hint string }

// Error implements error.
func (e *apartError) Error() string { return e.text }

// Hint says what to do next.
func (e *apartError) Hint() string { return e.hint }

// fetchForRun pulls what a run needs in a process of its own, which confines itself; the run, which starts a container next,
// cannot. Where no process can be confined, the run's own does it.
func fetchForRun(ctx context.Context, c *cli.Context, s *store.Store, name catalog.Name) (store.Image, error) {
	if !fence.Possible() {
		return fetchName(ctx, c, s, name, catalog.TakeFree)
	}
	text := c.Args().First()
	if given, err := catalog.Parse(text); err != nil || given != name {
		text = name.Ref.String() // the same image by its digest; an archive has one name
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"--layers", s.Dirs().Layers, "pull", "--" + apartFlag}, apartFlags(c, text)...)...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stderr = os.Stdin, c.App.ErrWriter
	got, err := ask(ctx, cmd)
	if err != nil {
		return store.Image{}, fmt.Errorf("pulling %s: %w", text, err)
	}
	if got.Error != "" {
		return store.Image{}, &apartError{text: got.Error, hint: got.Hint}
	}
	image := got.Image
	image.RawManifest, image.RawConfig = got.RawManifest, got.RawConfig
	return image, nil
}

// apartFlags are those of a run that its pull needs, and the image.
func apartFlags(c *cli.Context, image string) (args []string) {
	for _, name := range []string{"platform", "memory-budget", "progress"} {
		if c.IsSet(name) {
			args = append(args, "--"+name, c.String(name))
		}
	}
	for _, name := range []string{"insecure", "quiet"} {
		if c.Bool(name) {
			args = append(args, "--"+name)
		}
	}
	return append(args, "--", image)
}

// ask starts a pull and waits for its answer. The socket between the two is what holds the pull: when it is closed, because
// the context has ended or this process has, the pull ends.
func ask(ctx context.Context, cmd *exec.Cmd) (got answer, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return got, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "pull"), os.NewFile(uintptr(ends[1]), "pull")
	defer func() { err = errors.Join(err, ours.Close()) }()
	cmd.ExtraFiles = []*os.File{theirs} // becomes apartSocket
	if err := cmd.Start(); err != nil {
		return got, errors.Join(err, theirs.Close())
	}
	defer context.AfterFunc(ctx, func() {
		_ = unix.Shutdown(ends[0], unix.SHUT_WR) // fails when the pull has ended
		time.AfterFunc(apartPatience, func() { _ = cmd.Process.Kill() })
	})()
	decodeErr := errors.Join(theirs.Close(), json.NewDecoder(ours).Decode(&got))
	switch err := cmd.Wait(); {
	case ctx.Err() != nil:
		return got, context.Cause(ctx)
	case decodeErr != nil: // it was killed, or has failed before it began and said so
		return got, errors.Join(err, decodeErr)
	}
	return got, nil
}

// pullApart is the pull of a run. The run hears the signals that end both, and lets go of this process.
func pullApart(c *cli.Context, name catalog.Name) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // are received, and that is all
	run := os.NewFile(apartSocket, "run")
	unix.CloseOnExec(apartSocket)
	ctx, cancel := context.WithCancelCause(c.Context)
	defer cancel(nil)
	go func() {
		_, err := io.Copy(io.Discard, run) // says nothing, but ends
		cancel(cmp.Or(err, errRunEnded))
	}()
	got := answer{}
	image, err := fetchConfined(ctx, c, name)
	if err != nil {
		got.Error, got.Hint = err.Error(), hint.Of(err)
	} else {
		got.Image, got.RawManifest, got.RawConfig = image, image.RawManifest, image.RawConfig
	}
	return json.NewEncoder(run).Encode(got)
}

var errRunEnded = errors.New("the run has ended")

// fetchConfined opens the store as the run has left it, and pulls.
func fetchConfined(ctx context.Context, c *cli.Context, name catalog.Name) (store.Image, error) {
	s, err := openStoreAsItIs(c)
	if err != nil {
		return store.Image{}, err
	}
	if err := confine(s); err != nil {
		return store.Image{}, err
	}
	return fetchName(ctx, c, s, name, catalog.TakeFree)
}
