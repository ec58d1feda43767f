package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// finding is a line of the doctor's.
type finding struct{ Check, State, Found, Why, Fix, Who string }

// says reports whether the finding is in a state and its text has some words, those of who mends it and how included.
func (f finding) says(state string, words ...string) bool {
	text := f.Found + "\n" + f.Why + "\n" + f.Who + ": " + f.Fix
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return f.State == state
}

// examination is what the doctor found, by check, and how its command ended.
type examination struct {
	worst  string
	code   int
	by     map[string][]finding
	stderr string
}

// has fails the test unless one of the findings of a check says something.
func (e examination) has(t *testing.T, check, state string, words ...string) {
	t.Helper()
	for _, f := range e.by[check] {
		if f.says(state, words...) {
			return
		}
	}
	t.Errorf("%s is not %s with %q: %+v", check, state, words, e.by[check])
}

// examine runs the doctor; change, if any, is made to its command.
func (b *box) examine(change func(*exec.Cmd), args ...string) (e examination) {
	b.t.Helper()
	j := &job{Cmd: b.command(append([]string{"doctor", "--json"}, args...)...)}
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if change != nil {
		change(j.Cmd)
	}
	if err := j.Start(); err != nil {
		b.t.Fatal(err)
	}
	r := b.wait(j)
	var report struct {
		Worst  string
		Checks []finding
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		b.t.Fatalf("status %d: %v: %s%s", r.code, err, r.stdout, r.stderr)
	}
	e = examination{worst: report.Worst, code: r.code, by: map[string][]finding{}, stderr: r.stderr}
	for _, f := range report.Checks {
		e.by[f.Check] = append(e.by[f.Check], f)
		if f.State != "ok" && (f.Found == "" || f.Why == "" || f.Fix == "" || f.Who == "") {
			b.t.Errorf("%+v says too little", f)
		}
	}
	if want := map[string]int{"ok": 0, "note": 0, "warning": 1, "failure": 2}[e.worst]; e.code != want {
		b.t.Errorf("status %d for %s: %s", e.code, e.worst, e.stderr)
	}
	return e
}

// inside has a command run after a shell script, in namespaces of its own that unshare makes.
func inside(t *testing.T, script string, options ...string) func(*exec.Cmd) {
	t.Helper()
	unshare := need.Tool(t, "unshare")
	return func(cmd *exec.Cmd) {
		before := append(append([]string{"unshare"}, options...), "sh", "-c", script+` && exec "$@"`, "sh")
		cmd.Args, cmd.Path = append(before, cmd.Args...), unshare
	}
}

// mapped are the options of a user namespace in which everything is the caller's to break, and mounting of one that has mounts, too.
var (
	mapped   = []string{"--user", "--map-root-user"}
	mounting = []string{"--user", "--map-root-user", "--mount"}
)

// TestDoctorFindsAllWell: on a node where runs work it says so, and leaves nothing.
func TestDoctorFindsAllWell(t *testing.T) {
	b := newBox(t)
	root := filepath.Join(b.wd, "not", "there")
	e := b.examine(func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "CORACLE_ROOT="+root) }, "--offline")
	for _, check := range []string{"user-namespaces", "container", "layers", "overlay"} {
		e.has(t, check, "ok")
	}
	if entries, err := os.ReadDir(b.wd); err != nil || len(entries) > 0 {
		t.Errorf("it has left %v, %v", entries, err)
	}
}

// TestDoctorLeavesTheStore: a store that is there stays as it is, and is of use afterwards.
func TestDoctorLeavesTheStore(t *testing.T) {
	b, ref := busybox(t)
	before := list(t, b.root)
	e := b.examine(nil, "--offline")
	if after := list(t, b.root); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if e.worst == "failure" {
		t.Errorf("%+v", e.by)
	}
	b.ok("run", ref, "true")
	nothingLeft(t, b)
}

// TestKilledDoctor kills the doctor at many moments, where there is no store yet: nothing of its containers lives on, and the next doctor
// clears what it left of its trials.
func TestKilledDoctor(t *testing.T) {
	b := newBox(t)
	adopt(t)
	for n := range 24 {
		j := &job{Cmd: b.command("doctor", "--offline")}
		j.Stdout, j.Stderr = &j.stdout, &j.stderr
		if err := j.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(n) * 5 * time.Millisecond) // moments of its life; each is as good as another
		if err := j.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		b.wait(j)
		waitFor(t, "nothing lives on", patience, func() error {
			if left := descendants(); len(left) > 0 {
				return fmt.Errorf("%q", left)
			}
			return b.leftovers()
		})
	}
	b.examine(nil, "--offline")
	for path := range strings.Lines(list(t, b.root)) {
		if name := filepath.Base(strings.TrimSpace(path)); strings.Contains(name, ".pid%3A") {
			t.Errorf("%s is left", path)
		}
	}
}

// list is all that is below a directory.
func list(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

// TestDoctorAndRunAgree breaks what a run needs, in namespaces of the test's own: the doctor names the cause and who mends it how, and
// the run fails by the same.
func TestDoctorAndRunAgree(t *testing.T) {
	b, ref := busybox(t)
	for _, tc := range []struct {
		name   string
		change func(*exec.Cmd)
		check  string
		words  []string // of the doctor's; the first of the run's, too
	}{
		{"no user namespaces", inside(t, "echo 0 >/proc/sys/user/max_user_namespaces", mapped...), "user-namespaces",
			[]string{"user.max_user_namespaces", "administrator: sysctl -w user.max_user_namespaces="}},
		{"no mount namespaces", inside(t, "echo 0 >/proc/sys/user/max_mnt_namespaces", mapped...), "user-namespaces",
			[]string{"user.max_mnt_namespaces", "administrator: sysctl -w user.max_mnt_namespaces="}},
		{"no pid namespaces", inside(t, "echo 0 >/proc/sys/user/max_pid_namespaces", mapped...), "user-namespaces",
			[]string{"user.max_pid_namespaces", "administrator: sysctl -w user.max_pid_namespaces="}},
		{"the only mount namespace is taken", inside(t, "echo 1 >/proc/sys/user/max_mnt_namespaces", mounting...), "user-namespaces",
			[]string{"a limit of namespaces is reached", "lsns", "administrator"}},
		{"/proc is covered", inside(t, "mount --bind /dev/null /proc/interrupts", mounting...), "container",
			[]string{"/proc/interrupts", "unmask=ALL"}},
		{"a filter", func(cmd *exec.Cmd) { failing(unix.EPERM, unix.SYS_MOUNT).wrap(t, cmd) }, "container",
			[]string{"seccomp", "you: run Coracle outside of that container"}},
		{"podman's filter", func(cmd *exec.Cmd) { failing(unix.EPERM, unix.SYS_SETHOSTNAME).wrap(t, cmd) }, "container",
			[]string{"sethostname: operation not permitted: a filter of system calls is in force", "you: run Coracle outside of that container", "seccomp=unconfined"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			e := b.examine(tc.change, "--offline")
			e.has(t, tc.check, "failure", tc.words...)
			j := &job{Cmd: b.command("run", ref, "true")}
			j.Stdout, j.Stderr = &j.stdout, &j.stderr
			tc.change(j.Cmd)
			if err := j.Start(); err != nil {
				t.Fatal(err)
			}
			r := b.wait(j)
			if r.code != 125 || !strings.Contains(r.stderr, tc.words[0]) || !strings.Contains(r.stderr, "'coracle doctor'") {
				t.Errorf("status %d: %s", r.code, r.stderr)
			}
			if err := b.leftovers(); err != nil {
				t.Error(err)
			}
		})
	}
}
