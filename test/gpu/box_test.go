package gpu_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/gpu"
	"github.com/coracle-run/coracle/test/recorded"
)

// box is a user's corner on a machine: a store and a working directory.
type box struct {
	t                 *testing.T
	m                 *gpu.Machine
	coracle, root, wd string
	env               []string
}

func newBox(t *testing.T, setup gpu.Setup) *box {
	t.Helper()
	b := &box{t: t, m: machine(t, setup), coracle: need.Binary(t), root: filepath.Join(t.TempDir(), "store"), wd: t.TempDir()}
	b.env = append(os.Environ(), "CORACLE_ROOT="+b.root)
	t.Cleanup(func() { makeRemovable(t, b.root) })
	t.Cleanup(func() { recorded.Check(t, b.root) })
	return b
}

// makeRemovable: overlayfs leaves work/work with mode 0.
func makeRemovable(t *testing.T, root string) {
	t.Helper()
	for _, pattern := range []string{"work", "*/work", "*/*/work", "*/*/*/work", "*/*/*/work/incompat", "*/*/*/*/work"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if err := os.Chmod(path, 0o700); err != nil {
				t.Errorf("making the store removable: %v", err)
			}
		}
	}
}

// pull stores an image and returns its reference.
func (b *box) pull(im fixture.Image, err error) string {
	b.t.Helper()
	if errors.Is(err, gpu.ErrNoMusl) {
		need.Missing(b.t, "musl-gcc", err.Error())
	}
	if err != nil {
		b.t.Fatal(err)
	}
	reg := fixture.Serve(b.t)
	reg.Push("image:1", im)
	b.ok("pull", "-q", reg.Ref("image:1"))
	return reg.Ref("image:1")
}

// debian is a box with an image like Debian's.
func debian(t *testing.T, setup gpu.Setup) (*box, string) {
	t.Helper()
	b := newBox(t, setup)
	return b, b.pull(gpu.Debian(driver(t)))
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// job is a command that is running.
type job struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
	began          time.Time
}

func (b *box) prepare(args ...string) *job {
	j := &job{Cmd: b.m.Command(b.wd, b.env, b.coracle, args...), began: time.Now()}
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	j.WaitDelay = 10 * time.Second
	return j
}

func (b *box) start(args ...string) *job {
	b.t.Helper()
	j := b.prepare(args...)
	if err := j.Start(); err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *box) wait(j *job) result {
	b.t.Helper()
	const limit = 2 * time.Minute
	watch := time.AfterFunc(limit, func() { _ = j.Process.Kill() })
	err := j.Wait()
	if !watch.Stop() {
		b.t.Fatalf("%s: no end after %v: %s%s", j, limit, &j.stdout, &j.stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return result{code: j.ProcessState.ExitCode(), stdout: j.stdout.String(), stderr: j.stderr.String(), took: time.Since(j.began)}
}

// do runs a command to its end; one that hangs fails the test.
func (b *box) do(args ...string) result {
	b.t.Helper()
	return b.wait(b.start(args...))
}

// ok is do for a command that has to succeed; it returns the standard output.
func (b *box) ok(args ...string) string {
	b.t.Helper()
	r := b.do(args...)
	if r.code != 0 {
		b.t.Fatalf("coracle %s: status %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// lines is ok for a run, line by line.
func (b *box) lines(args ...string) []string {
	b.t.Helper()
	return strings.Split(b.ok(append([]string{"run", "-q"}, args...)...), "\n")
}

// refused runs a command that has to fail as Coracle's own failures do, and returns what it says.
func (b *box) refused(args ...string) string {
	b.t.Helper()
	r := b.do(args...)
	if r.code != 125 {
		b.t.Errorf("coracle %s: status %d, want 125\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	if strings.Contains(r.stderr, "goroutine ") || !strings.Contains(r.stderr, "coracle: ") {
		b.t.Errorf("the failure is not told as one: %s", r.stderr)
	}
	return r.stderr
}

// last decodes the newest run's record.
func (b *box) last(into any) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.ok("runs", "show", "last", "--json")), into); err != nil {
		b.t.Fatal(err)
	}
}
