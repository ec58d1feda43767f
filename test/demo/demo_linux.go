package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/test/fixture"
)

// wanted is the least accuracy on unseen images with which the demo is content.
const wanted = 0.95

// demo is one run of it: where its pieces are, and where it works.
type demo struct {
	coracle, train, data string
	out                  io.Writer
	dir                  string // everything the demo writes is below
	ref                  string
	digest               digest.Digest
}

func (d *demo) main(ctx context.Context, keep bool) (err error) {
	if err := d.absolute(); err != nil {
		return err
	}
	// On disk rather than in /tmp: layers want user extended attributes, which tmpfs has only since Linux 6.6.
	if d.dir, err = os.MkdirTemp(base(), "coracle-demo-"); err != nil {
		return err
	}
	if keep {
		defer d.say("Kept: %s", d.dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	reg := fixture.Start()
	defer reg.Close()
	for _, step := range []func(context.Context) error{
		func(context.Context) error { return d.publish(reg) },
		d.pull, d.refused, d.run, d.model, d.record,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func base() string {
	if dir := os.Getenv("TMPDIR"); dir != "" {
		return dir
	}
	return "/var/tmp"
}

// absolute makes paths independent of the working directory and says early which piece is missing.
func (d *demo) absolute() error {
	for _, path := range []*string{&d.coracle, &d.train, &d.data} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(abs); err != nil {
			return fmt.Errorf("%w; `make demo` builds what the demo needs", err)
		}
		*path = abs
	}
	return nil
}

// publish makes the image and serves it.
func (d *demo) publish(reg *fixture.Registry) error {
	program, err := os.ReadFile(d.train)
	if err != nil {
		return err
	}
	img := fixture.Image{Layers: []fixture.Layer{fixture.NewLayer(fixture.Gzip,
		fixture.Dir("usr", 0o755), fixture.Dir("usr/bin", 0o755), fixture.File("usr/bin/train", string(program), 0o755),
		fixture.Dir("etc", 0o755), fixture.File("etc/passwd", "root:x:0:0:root:/:/usr/bin/train\n", 0o644),
		fixture.Dir("tmp", 0o1777),
	)}}
	img.Config.Entrypoint = []string{"/usr/bin/train"}
	img.Config.WorkingDir = "/tmp"
	d.ref = reg.Ref("digits:1")
	d.digest = reg.Push("digits:1", img)
	d.say("An image of one static program (%d kB), in a registry on this machine: %s",
		img.Layers[0].Descriptor.Size/1000, d.ref)
	return nil
}

func (d *demo) pull(ctx context.Context) error {
	d.say("Pull it: verified, unpacked once, kept as ordinary files of yours.")
	return d.call(ctx, "pull", d.ref)
}

// refused shows that a job cannot write a volume that it may only read.
func (d *demo) refused(ctx context.Context) error {
	if err := errors.Join(os.Mkdir(d.path("data"), 0o755), os.Mkdir(d.path("out"), 0o755)); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(d.data, "digits.csv.gz"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("data", "digits.csv.gz"), raw, 0o644); err != nil {
		return err
	}
	d.say("A job that would write to its data fails, even if it only means well:")
	var exit *exec.ExitError
	err = d.call(ctx, "run", "-v", "./data:/data:ro", d.ref, "-epochs", "1", "-out", "/data")
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		return fmt.Errorf("writing to the data volume: the job's status should be 1: %w", err)
	}
	if left, err := os.ReadDir(d.path("data")); err != nil || len(left) != 1 {
		return errors.Join(fmt.Errorf("the data directory holds %d files, not one", len(left)), err)
	}
	return nil
}

// run trains the model.
func (d *demo) run(ctx context.Context) error {
	d.say("Train on 1797 handwritten digits (UCI, CC BY 4.0): the data read-only, the output in a directory of yours.")
	return d.call(ctx, "run", "-v", "./data:/data:ro", "-v", "./out:/out", "--metric", "loss=loss +([0-9.]+)", "--metric", "accuracy=accuracy +([0-9.]+)", d.ref)
}

// model shows the model file and whose it is.
func (d *demo) model(context.Context) error {
	raw, err := os.ReadFile(d.path("out", "model.json"))
	if err != nil {
		return err
	}
	var m struct{ Accuracy float64 }
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("reading the model: %w", err)
	}
	info, err := os.Stat(d.path("out", "model.json"))
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Getuid() || int(stat.Gid) != os.Getgid() {
		return fmt.Errorf("the model does not belong to the caller: %+v", info.Sys())
	}
	d.say("The model: out/model.json, %d bytes, owner %s (you), accuracy %.4f.", info.Size(), owner(stat.Uid), m.Accuracy)
	if m.Accuracy < wanted {
		return fmt.Errorf("the accuracy is %.4f, less than %.2f", m.Accuracy, wanted)
	}
	return nil
}

// record shows what is left of the two runs, and holds the last one against what the demo did.
func (d *demo) record(ctx context.Context) error {
	d.say("Every run leaves a record.")
	if err := d.call(ctx, "runs"); err != nil {
		return err
	}
	if err := d.call(ctx, "runs", "show", "last"); err != nil {
		return err
	}
	raw, err := d.command(ctx, "runs", "show", "last", "--json").Output()
	if err != nil {
		return fmt.Errorf("reading the record: %w", err)
	}
	var r struct {
		ExitCode *int `json:"exit_code"`
		Image    struct{ Digest digest.Digest }
		Metrics  map[string]struct{ Last *float64 }
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("reading the record: %w", err)
	}
	if r.ExitCode == nil || *r.ExitCode != 0 || r.Image.Digest != d.digest {
		return fmt.Errorf("the record should say that %s ran and exited with 0: %s", d.digest, raw)
	}
	if last := r.Metrics["accuracy"].Last; last == nil || *last < wanted || r.Metrics["loss"].Last == nil {
		return fmt.Errorf("the record should have the loss and an accuracy of %.2f or more: %s", wanted, raw)
	}
	d.say("What it has learned and used, on one page (--html FILE makes one for a browser):")
	return d.call(ctx, "report", "last")
}

// call shows a coracle command and runs it in the demo's directory.
func (d *demo) call(ctx context.Context, args ...string) error {
	shown := make([]string, len(args))
	for i, arg := range args {
		if shown[i] = arg; strings.ContainsAny(arg, " ()") {
			shown[i] = "'" + arg + "'"
		}
	}
	_, _ = fmt.Fprintf(d.out, "$ coracle %s\n", strings.Join(shown, " "))
	cmd := d.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = d.out, d.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("coracle %s: %w", args[0], err)
	}
	return nil
}

func (d *demo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.coracle, args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "CORACLE_ROOT="+d.path("store"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

func (d *demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

// say narrates a step.
func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, "\n"+format+"\n", args...)
}

func owner(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if account, err := user.LookupId(id); err == nil {
		return account.Username
	}
	return "uid " + id
}
