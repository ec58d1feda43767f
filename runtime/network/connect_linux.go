package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// connectPatience is how long a helper may take until the network is up.
const connectPatience = 30 * time.Second

// Connect joins a namespace to the host's network as a Config of Private says, and returns when the network is up and the ports are
// taken. The helper ends with this process, which must be the first of its pid namespace. Its files are in dir.
func Connect(c Config, n Namespace, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
	defer cancel()
	var err error
	switch c.Helper.Name {
	case Pasta:
		err = connectPasta(ctx, c, n)
	case Slirp:
		err = connectSlirp(ctx, c, n, filepath.Join(dir, "slirp"))
	default:
		err = fmt.Errorf("no such program: %q", c.Helper.Name)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("it was not up within %s: %w", connectPatience, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Helper.Path, err)
	}
	return nil
}

// command is a helper with nothing of ours but a place for its words.
func command(ctx context.Context, c Config, args []string, said io.Writer) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Helper.Path, args...)
	cmd.Args[0] = c.Helper.Name // by which one program knows whether it is passt or pasta
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // for what it leaves behind with our pipe open
	return cmd
}

// connectPasta runs pasta until the one in the background has taken over. Meanwhile others of this user may look at this process, as
// pasta does to find the namespace: a process that has changed its ids, as one with subordinate ids, is closed to them (prctl(2)).
func connectPasta(ctx context.Context, c Config, n Namespace) (err error) {
	before, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if before != 1 {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl", err)
		}
		defer func() { err = errors.Join(err, unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)) }()
	}
	said := &sys.Words{}
	err = sys.Spared(command(ctx, c, pastaArgs(c, n.Path), said).Run)
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		if why := pastaError(said.String()); why != "" {
			return errors.New(why)
		}
		return err
	}
	return nil
}

// connectSlirp starts slirp4netns, waits until it is ready and hands it the ports.
func connectSlirp(ctx context.Context, c Config, n Namespace, socket string) (err error) {
	if err := checkSlirp(c.Ports); err != nil {
		return err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ready.Close()) }()
	said := &sys.Words{}
	const readyFD = 3
	// It is to live on when ctx has ended: that is the waiting's.
	cmd := command(context.WithoutCancel(ctx), c, slirpArgs(c, n.Path, readyFD, socket), said)
	cmd.ExtraFiles = []*os.File{theirs}
	if err := errors.Join(sys.Spared(cmd.Start), theirs.Close()); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	deadline, _ := ctx.Deadline()
	if err := ready.SetReadDeadline(deadline); err != nil {
		return err
	}
	if n, err := ready.Read(make([]byte, 1)); n == 0 {
		if !errors.Is(err, io.EOF) {
			return errors.Join(err, cmd.Process.Kill())
		}
		return errors.Join(<-ended, errors.New(strings.TrimSpace(said.String())))
	}
	for _, p := range c.Ports {
		if err := slirpPublish(socket, p); err != nil {
			return errors.Join(fmt.Errorf("publishing %w", err), cmd.Process.Kill())
		}
	}
	return nil
}
