package inside_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// detached is a job that goes on by itself for long enough, in a session that ends as soon as it has begun.
const detached = "run -q -d --name afloat --timeout 20m " + busybox + " sleep 1001"

// TestLogout: who starts a job with `run -d` and logs out is told before when that ends the job, and what keeps it; and so it comes. What
// logind does is logind's word: it ends the user's service manager with the last session, and kills what is left in a session where it was
// told to; a session in which something is left is not over, and neither is the manager then.
func TestLogout(t *testing.T) {
	const byManager, byLogind = "with your service manager: 'loginctl enable-linger'", "when you log out (KillUserProcesses=yes): 'loginctl enable-linger' and then 'systemd-run --user --scope coracle run -d ...'"
	for _, c := range []struct {
		name, user    string
		kills, linger bool
		before, after string // coracle
		warning       string // "": none, and the job goes on
	}{
		{name: "a session", user: "alone"},
		{name: "a session, with a limit of the manager's", user: "alone", after: "--memory 200m"},
		{name: "a scope of the manager's", user: "alone", before: "systemd-run --user --scope --quiet", warning: byManager},
		{name: "a session that is killed", user: "alone", kills: true, warning: byLogind},
		{name: "a session that is killed, with a manager that lingers", user: "alone", kills: true, linger: true, warning: byLogind},
		{name: "as advised there", user: "alone", before: "systemd-run --user --scope --quiet", kills: true, linger: true},
		{name: "root", user: "root", after: "--memory 200m", kills: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSailor(t, c.user, session)
			logind(t, c.kills, c.linger)
			script := strings.Join([]string{c.before, "coracle", strings.Replace(detached, " --timeout", " "+c.after+" --timeout", 1)}, " ")
			r := s.shell("sh", "-c", "echo $XDG_SESSION_ID; exec "+script)
			id, _, _ := strings.Cut(r.stdout, "\n")
			t.Cleanup(func() {
				if t.Failed() {
					s.do("stop", "-t", "1", "afloat") // it may have ended
				}
			})
			if r.code != 0 || id == "" {
				t.Fatalf("status %d: %s%s", r.code, r.stdout, r.stderr)
			}
			if c.warning == "" && r.stderr != "" || !strings.Contains(r.stderr, c.warning) {
				t.Errorf("a warning %q is wanted: %q", c.warning, r.stderr)
			}
			if c.warning != "" {
				await(t, "the end of the session", func() error {
					if left := s.processes(); len(left) > 0 {
						return fmt.Errorf("there are %q", left)
					}
					return nil
				})
				if v := s.shown("afloat"); v.State == "running" || v.State == "exited" && *v.ExitCode == 0 {
					t.Errorf("the record of the run that was killed says %+v", v)
				}
				s.nothingLeft()
				return
			}
			await(t, "the end of the session", func() error { return loggedOut(id) })
			time.Sleep(3 * time.Second) // what ends it would have by now, as the cases above show; on a slow node this finds less
			if v := s.shown("afloat"); v.State != "running" {
				t.Errorf("the record of the run says %+v", v)
			}
			s.ok("stop", "-t", "1", "afloat")
			s.nothingLeft()
		})
	}
}

// logind has logind treat the user alone so until the end of the test, and end managers at once and not after ten seconds.
func logind(t *testing.T, kills, linger bool) {
	t.Helper()
	const dir = "/run/systemd/logind.conf.d"
	file := filepath.Join(dir, "50-test.conf")
	text := fmt.Sprintf("[Login]\nKillUserProcesses=%t\nUserStopDelaySec=0\n", kills)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		run("loginctl", "disable-linger", "alone")
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
		run("systemctl", "restart", "systemd-logind")
	})
	run("systemctl", "restart", "systemd-logind")
	if linger {
		run("loginctl", "enable-linger", "alone")
	}
}

// loggedOut reports whether a session is over: it is gone, or closing for what is left in it.
func loggedOut(id string) error {
	out, err := exec.Command("loginctl", "show-session", "--property=State", "--value", id).CombinedOutput()
	if state := strings.TrimSpace(string(out)); err == nil && state != "closing" {
		return fmt.Errorf("session %s is %s", id, state)
	}
	return nil
}
