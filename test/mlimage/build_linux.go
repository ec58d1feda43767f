package mlimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// steps are the arguments of step.sh; each one makes a layer.
var steps = [][]string{
	{"base", "bookworm"},
	{"install", "python3"},
	{"install", "python3-sklearn"},
}

// imageConfig is how the image runs.
var imageConfig = ocispec.ImageConfig{
	Env: []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"PYTHONUNBUFFERED=1",
	},
	Cmd: []string{"python3", "-c", "import sklearn; print(sklearn.__version__)"},
}

// build makes the layout dir: in a work directory beside it, which is renamed at the end or removed.
func build(ctx context.Context, dir string, log io.Writer) (err error) {
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
	layout, err := newLayout(out)
	if err != nil {
		return err
	}
	seen := snapshot{}
	for _, step := range steps {
		start := time.Now()
		if err := run(ctx, log, script, append([]string{root}, step...)...); err != nil {
			return fmt.Errorf("%v: %w", step, err)
		}
		size, err := layout.addLayer(fmt.Sprint(step), func(w io.Writer) (err error) {
			seen, err = writeChanges(w, root, seen)
			return err
		})
		if err != nil {
			return fmt.Errorf("%v: %w", step, err)
		}
		_, _ = fmt.Fprintf(log, "mlimage: %v: layer of %d MB, %.0f s\n", step, size/1_000_000, time.Since(start).Seconds())
	}
	if err := layout.finish(imageConfig); err != nil {
		return err
	}
	return os.Rename(out, dir)
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
