// Package limits_test holds jobs to limits by this machine's control groups, as root, who may make them everywhere. How an
// ordinary user fares is in test/integration.
package limits_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/runtime/cgroup"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/recorded"
)

// box is a store of its own with the image of busybox.
type box struct {
	t                  *testing.T
	coracle, root, ref string
}

// newBox needs a host whose control groups hold what a test is about. At its end no group of the box's runs is left.
func newBox(t *testing.T, limits cgroup.Limits) *box {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Missing(t, "root", "control groups of this machine are root's")
	}
	need.Overlay(t)
	if p := cgroup.Read(cgroup.Look{Full: true}).Decide(limits, nil); len(p.Missing) > 0 {
		need.Missing(t, "cgroups", p.Missing[0].Limit+": "+p.Missing[0].Why)
	}
	reg := fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	b := &box{t: t, coracle: need.Binary(t), root: t.TempDir(), ref: reg.Ref("busybox:1")}
	if r := b.do("pull", "-q", b.ref); r.code != 0 {
		t.Fatal(r.stderr)
	}
	t.Cleanup(b.nothingLeft)
	t.Cleanup(func() { recorded.Check(t, b.root) })
	return b
}

// nothingLeft fails the test when a control group of one of the box's runs is there. Each of them had a record first.
func (b *box) nothingLeft() {
	b.t.Helper()
	runs, err := os.ReadDir(filepath.Join(b.root, "runs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, run := range runs {
		ours["coracle-"+run.Name()], ours["coracle-"+run.Name()+".scope"] = true, true
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, _ error) error { // groups come and go
		if d != nil && d.IsDir() && ours[d.Name()] {
			b.t.Errorf("%s is left", path)
		}
		return nil
	})
}

// result is how a command ended; the code is what a shell would say.
type result struct {
	code           int
	stdout, stderr string
}

func (b *box) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.coracle, args...)
	cmd.Env = append(os.Environ(), "CORACLE_ROOT="+b.root, "CORACLE_NO_SETTLE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// running is a command that goes on.
type running struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func (b *box) start(cmd *exec.Cmd) *running {
	b.t.Helper()
	r := &running{Cmd: cmd}
	cmd.Stdout, cmd.Stderr = &r.stdout, &r.stderr
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *box) wait(r *running) result {
	b.t.Helper()
	const limit = 2 * time.Minute
	watch := time.AfterFunc(limit, func() { _ = r.Process.Kill() })
	err := r.Wait()
	if exit := (*exec.ExitError)(nil); !watch.Stop() || err != nil && !errors.As(err, &exit) {
		b.t.Fatalf("%s: %v: %s%s", strings.Join(r.Args, " "), err, &r.stdout, &r.stderr)
	}
	return result{r.ProcessState.ExitCode(), r.stdout.String(), r.stderr.String()}
}

func (b *box) do(args ...string) result {
	b.t.Helper()
	return b.wait(b.start(b.command(args...)))
}

// run runs a script under limits, all of which have to be enforced.
func (b *box) run(script string, options ...string) result {
	b.t.Helper()
	args := append([]string{"run", "-q", "--require-limits"}, options...)
	return b.do(append(args, b.ref, "sh", "-c", script)...)
}

// record is what the tests look at of the record of the newest run.
type record struct {
	Wall   float64 `json:"wall_seconds"`
	Totals struct {
		CPU float64 `json:"cpu_seconds"`
	} `json:"totals"`
	Sources map[string]string `json:"sources"`
	Limits  struct {
		Enforced []struct {
			Limit, Value, Mechanism string
		} `json:"enforced"`
	} `json:"limits"`
}

func (b *box) last() (r record) {
	b.t.Helper()
	shown := b.do("runs", "show", "last", "--json")
	if err := json.Unmarshal([]byte(shown.stdout), &r); err != nil {
		b.t.Fatalf("%v: %s", err, shown.stdout+shown.stderr)
	}
	return r
}
