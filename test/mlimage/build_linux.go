package mlimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/test/layout"
)

// build makes the layout dir: in a work directory beside it, which is renamed at the end or removed.
func (v Variant) build(ctx context.Context, dir string, log io.Writer) (err error) {
	work, err := os.MkdirTemp(filepath.Dir(dir), ".build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	script, root, out := filepath.Join(work, "step.sh"), filepath.Join(work, "root"), filepath.Join(work, "oci")
	text, err := sources.ReadFile("step.sh")
	if err != nil {
		return err
	}
	if err := os.WriteFile(script, text, 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	image, err := layout.Create(out)
	if err != nil {
		return err
	}
	seen := snapshot{}
	for _, step := range v.steps {
		start := time.Now()
		if err := change(ctx, log, script, root, step); err != nil {
			return fmt.Errorf("%v: %w", step, err)
		}
		size, err := image.Layer(fmt.Sprint(step), ocispec.MediaTypeImageLayerGzip, func(w io.Writer) (err error) {
			seen, err = writeChanges(w, root, seen)
			return err
		})
		if err != nil {
			return fmt.Errorf("%v: %w", step, err)
		}
		_, _ = fmt.Fprintf(log, "mlimage: %v: layer of %d MB, %.0f s\n", step, size/1_000_000, time.Since(start).Seconds())
	}
	if err := image.Finish(v.config); err != nil {
		return err
	}
	return os.Rename(out, dir)
}

// change does to the tree what a step says.
func change(ctx context.Context, log io.Writer, script, root string, step []string) error {
	if step[0] != "weights" {
		return run(ctx, log, script, append([]string{root}, step...)...)
	}
	megabytes, err := strconv.Atoi(step[1])
	if err != nil {
		return err
	}
	return writeWeights(root, megabytes)
}

// run executes a step in mount and pid namespaces of its own, so that no mount and no process of it survives, whatever
// happens. Its output appears only when it fails.
func run(ctx context.Context, log io.Writer, script string, args ...string) error {
	argv := append([]string{
		"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
		"bash", script,
	}, args...)
	out, err := exec.CommandContext(ctx, "unshare", argv...).CombinedOutput()
	if err != nil {
		_, _ = log.Write(out[max(0, len(out)-4000):])
	}
	return err
}

// lock takes an exclusive lock that ends with unlock or with the process.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	// Closing gives the lock back.
	return func() { _ = f.Close() }, nil
}
