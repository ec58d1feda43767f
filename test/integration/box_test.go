package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/recorded"
)

// box is one user's corner: a store of its own and a working directory.
type box struct {
	t                 *testing.T
	coracle, root, wd string
}

// newBox is an empty box that is removed with the test.
func newBox(t *testing.T) *box {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := removeStore(filepath.Join(dir, "store")); err != nil {
			t.Error(err)
		}
	})
	return newBoxAt(t, filepath.Join(dir, "store"))
}

// newBoxAt is a box with a given store.
func newBoxAt(t *testing.T, root string) *box {
	t.Helper()
	need.Overlay(t)
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { recorded.Check(t, root) })
	return &box{t: t, coracle: need.Binary(t), root: root, wd: t.TempDir()}
}

// busybox is a box with a busybox image pulled from a loopback registry, and the image's reference.
func busybox(t *testing.T, change ...func(*fixture.Image)) (*box, string) {
	t.Helper()
	img := fixture.Busybox(t)
	for _, f := range change {
		f(&img)
	}
	b := newBox(t)
	reg := fixture.Serve(t)
	reg.Push("busybox:1", img)
	ref := reg.Ref("busybox:1")
	b.ok("pull", ref)
	return b, ref
}

// result is how a command ended; the code is what a shell would say.
type result struct {
	code           int
	stdout, stderr string
}

func (b *box) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.coracle, args...)
	cmd.Dir = b.wd
	cmd.Env = append(os.Environ(), "CORACLE_ROOT="+b.root)
	cmd.SysProcAttr = dieWithTests()
	// What a killed command leaves may hold its output open.
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// dieWithTests lets no process outlive a test binary that is killed.
func dieWithTests() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// do runs a command to its end. A command that hangs is killed, and the test fails.
func (b *box) do(args ...string) result {
	b.t.Helper()
	return b.wait(b.start(args...))
}

// job is a command that is running.
type job struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func (b *box) start(args ...string) *job {
	b.t.Helper()
	j := &job{Cmd: b.command(args...)}
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if err := j.Start(); err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *box) wait(j *job) result {
	b.t.Helper()
	const limit = 5 * time.Minute // a large image, on a machine that does much else
	watch := time.AfterFunc(limit, func() { _ = j.Process.Kill() })
	err := j.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		b.t.Fatalf("coracle %s: something holds its output open after its end", strings.Join(j.Args[1:], " "))
	}
	if !watch.Stop() {
		b.t.Fatalf("coracle %s: no end after %v: %s%s", strings.Join(j.Args[1:], " "), limit, &j.stdout, &j.stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	code := j.ProcessState.ExitCode()
	if status, ok := j.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return result{code: code, stdout: j.stdout.String(), stderr: j.stderr.String()}
}

// ok is do for a command that has to succeed; it returns the standard output without spaces around it.
func (b *box) ok(args ...string) string {
	b.t.Helper()
	r := b.do(args...)
	if r.code != 0 {
		b.t.Fatalf("coracle %s: status %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// file writes a file below the working directory.
func (b *box) file(name, body string) {
	b.t.Helper()
	path := filepath.Join(b.wd, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// dir makes a directory below the working directory.
func (b *box) dir(name string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Join(b.wd, name), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

// record is what these tests read of a run's record, by the names that the record promises.
type record struct {
	ID       string
	State    string
	Cause    string
	Argv     []string
	ExitCode *int `json:"exit_code"`
	Started  time.Time
	Finished time.Time
	Image    struct{ Digest string }
	Totals   struct {
		CPUSeconds float64 `json:"cpu_seconds"`
	}
	NoInit bool `json:"no_init"`
	TTY    bool
	Log    struct{ Bytes, Kept, Dropped int64 }
	Peaks  struct {
		MemoryBytes int64 `json:"memory_bytes"`
	}
}

func (b *box) record(id string) (r record) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.ok("runs", "show", id, "--json")), &r); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// records are those of all runs of the box.
func (b *box) records() (list []record) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.ok("runs", "--json")), &list); err != nil {
		b.t.Fatal(err)
	}
	return list
}

// mine fails the test unless the file belongs to the user who runs it.
func (b *box) mine(name string) {
	b.t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(filepath.Join(b.wd, name), &st); err != nil {
		b.t.Fatal(err)
	}
	if int(st.Uid) != os.Getuid() || int(st.Gid) != os.Getgid() {
		b.t.Errorf("%s belongs to %d:%d, not to the caller", name, st.Uid, st.Gid)
	}
}
