// Package inside_test are the tests that run in a booted node (make test-vm): as root there, which becomes the node's users in
// the ways in which users come to machines. start.sh, beside this package, makes these users.
package inside_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
)

// busybox is an image that every node has.
const busybox = "oci:/payload/busybox"

// sailor is a user of the node who has come to it in one way.
type sailor struct {
	t    testing.TB
	user string
	way  way
	env  []string // of coracle and of what else the user runs

	group string // bare: the control group to be in, if not that of these tests
}

// way is how a user comes to a machine.
type way string

// The ways.
const (
	session   way = "session"   // a login, with a session of logind's and a systemd user manager
	service   way = "service"   // a service of the user manager
	delegated way = "delegated" // one that was handed over to be divided
	bare      way = "bare"      // a process of root's that became the user: no session, a control group of root's
)

// newSailor is one of the node's users: full, plain, alone, root.
func newSailor(t testing.TB, name string, by way) *sailor {
	t.Helper()
	if os.Getenv("CORACLE_TEST_NODE") == "" {
		t.Skip("runs in a booted node (make test-vm)")
	}
	return &sailor{t: t, user: name, way: by}
}

func (s *sailor) String() string { return s.user + ", " + string(s.way) }

// account is who the user is on the node.
func (s *sailor) account() *user.User {
	s.t.Helper()
	account, err := user.Lookup(s.user)
	if err != nil {
		s.t.Fatal(err)
	}
	return account
}

// command is a program run by the user, in the user's home.
func (s *sailor) command(args ...string) *exec.Cmd {
	s.t.Helper()
	account := s.account()
	env := append([]string{"env", "PATH=/payload/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", "CORACLE_NO_SETTLE=1"}, s.env...)
	run := []string{"systemd-run", "--quiet", "--wait", "--collect", "--pipe", "-p", "WorkingDirectory=~"}
	var argv []string
	switch s.way {
	case session:
		argv = append(run, "--uid="+s.user, "--gid="+s.user, "-p", "PAMName=login", "--")
	case service, delegated:
		argv = append(run, "--user", "-M", s.user+"@.host")
		if s.way == delegated {
			argv = append(argv, "-p", "Delegate=yes")
		}
		argv = append(argv, "--")
	case bare:
		env = slices.Insert(env, 1, "-i", "-C", account.HomeDir, "HOME="+account.HomeDir, "USER="+s.user)
		argv = []string{"setpriv", "--reuid", account.Uid, "--regid", account.Gid, "--init-groups", "--"}
	}
	if s.group != "" {
		argv = append([]string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, s.group}, argv...)
	}
	args = append(env, args...)
	if s.way != bare {
		for i := range args { // systemd takes $NAME for its own
			args[i] = strings.ReplaceAll(args[i], "$", "$$")
		}
	}
	cmd := exec.Command(argv[0], append(argv[1:], args...)...)
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// result is how a command ended; the code is what a shell would say.
type result struct {
	code           int
	stdout, stderr string
}

// do runs coracle to its end.
func (s *sailor) do(args ...string) result {
	s.t.Helper()
	return s.shell(append([]string{"coracle"}, args...)...)
}

// shell runs a program to its end. One that hangs is killed, and the test fails.
func (s *sailor) shell(args ...string) result {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	watch := time.AfterFunc(3*time.Minute, func() { _ = cmd.Process.Kill() })
	err := cmd.Run()
	if !watch.Stop() {
		s.t.Fatalf("%v: %q did not end: %s%s", s, args, &out, &errs)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%v: %q: %v: %s%s", s, args, err, &out, &errs)
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String()}
}

// ok is do for a command that has to succeed; it returns the standard output without spaces around it.
func (s *sailor) ok(args ...string) string {
	s.t.Helper()
	r := s.do(args...)
	if r.code != 0 {
		s.t.Fatalf("%v: coracle %s: status %d\n%s%s", s, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// run is ok for a job in busybox.
func (s *sailor) run(args ...string) string {
	s.t.Helper()
	return s.ok(append([]string{"run", "-q"}, args...)...)
}

// voyage is what these tests read of a run's record.
type voyage struct {
	ID, State, Cause string
	ExitCode         *int `json:"exit_code"`
	Argv             []string
	Image            struct{ Digest string }
	Host             struct{ Kernel string }
	Message, Advice  string
	Peaks            map[string]float64
	Totals           map[string]float64
	Sources          map[string]string
	Limits           limits
	Scheduler        map[string]string
	Checkpoint       struct{ Why, Forced string }
	Evidence         struct {
		OOMKills       int64  `json:"oom_kills"`
		MemoryLimit    int64  `json:"memory_limit_bytes"`
		EnclosingLimit int64  `json:"enclosing_memory_limit_bytes"`
		EnclosingGroup string `json:"enclosing_group"`
	}
}

// last is the record of the user's last run.
func (s *sailor) last() voyage {
	s.t.Helper()
	return s.shown("last")
}

// processes are those of the user that run coracle or what it started, as "PID command".
func (s *sailor) processes() (found []string) {
	s.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		s.t.Fatal(err)
	}
	uid := s.account().Uid
	for _, dir := range dirs {
		status, _ := os.ReadFile(filepath.Join(dir, "status")) // it may have ended
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		text := strings.ReplaceAll(string(line), "\x00", " ")
		of := strings.Contains(string(status), "\nUid:\t"+uid+"\t")
		if of && (strings.Contains(text, "coracle") || strings.Contains(text, marker)) {
			found = append(found, filepath.Base(dir)+" "+text)
		}
	}
	return found
}

// marker is in the command lines of jobs that are looked for.
const marker = "adrift"

// await waits until a condition holds: it returns nil.
func await(t testing.TB, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // an emulated node beside other work is slow
	defer cancel()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ways are all in which a user may come to the node.
func ways(t testing.TB) []*sailor {
	t.Helper()
	return []*sailor{
		newSailor(t, "full", session), newSailor(t, "full", service), newSailor(t, "plain", session), newSailor(t, "alone", session),
		newSailor(t, "full", bare), newSailor(t, "alone", bare), newSailor(t, "root", bare),
	}
}

// kernel is the node's.
func kernel(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// TestNodeIsAsItShouldBe holds that the node is what these tests are for, so that none passes for the lack of something.
func TestNodeIsAsItShouldBe(t *testing.T) {
	full, plain, alone := newSailor(t, "full", session), newSailor(t, "plain", session), newSailor(t, "alone", bare)
	need.Overlay(t)
	for _, c := range []struct {
		s           *sailor
		controllers string
	}{{full, "cpuset cpu io memory pids"}, {plain, "memory pids"}} {
		uid := c.s.account().Uid
		raw, err := os.ReadFile(fmt.Sprintf("/sys/fs/cgroup/user.slice/user-%s.slice/user@%s.service/cgroup.controllers", uid, uid))
		if err != nil || strings.TrimSpace(string(raw)) != c.controllers {
			t.Errorf("%s has the controllers %q, %v, want %q", c.s.user, raw, err, c.controllers)
		}
		group := c.s.shell("cat", "/proc/self/cgroup").stdout
		if want := "0::/user.slice/user-" + uid + ".slice/session-"; !strings.HasPrefix(group, want) {
			t.Errorf("%v is in %q", c.s, group)
		}
	}
	if group := newSailor(t, "full", service).shell("cat", "/proc/self/cgroup").stdout; !strings.Contains(group, "/user@2000.service/app.slice/") {
		t.Errorf("a service of full's is in %q", group)
	}
	if group := alone.shell("cat", "/proc/self/cgroup").stdout; group != "0::/system.slice/payload.service\n" {
		t.Errorf("%v is in %q", alone, group)
	}
	raw, err := os.ReadFile("/etc/subuid")
	if err != nil || !strings.Contains(string(raw), "full:") || strings.Contains(string(raw), "alone:") {
		t.Errorf("subordinate ids are %q, %v", raw, err)
	}
}
