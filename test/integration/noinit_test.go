package integration_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoInit: with --init=false the job is process 1 of its container, and everything else about it is as always.
func TestNoInit(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	for _, tc := range []struct {
		name    string
		options []string
		args    []string
		code    int
		stdout  string
	}{
		{"it is process 1", nil, []string{"sh", "-c", "echo $$; exit 3"}, 3, "1\n"},
		{"as another user", []string{"-u", "1000"}, []string{"sh", "-c", "echo $$ $(id -u)"}, 0, "1 1000\n"},
		{"on a terminal", []string{"-t"}, []string{"sh", "-c", "echo $$; tty"}, 0, "1\r\n/dev/pts/0\r\n"},
		{"takes no signal from inside", nil, []string{"sh", "-c", "kill -9 $$; kill -TERM $$; exit 4"}, 4, ""},
		{"leaves children", nil, []string{"sh", "-c", "setsid sleep 1000 & sleep 1000 & exit 5"}, 5, ""},
		{"command not found", nil, []string{"no-such-command"}, 127, ""},
		{"not executable", nil, []string{"/etc/passwd"}, 126, ""},
		{"a directory", nil, []string{"/etc"}, 126, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			args := append([]string{"run", "--init=false"}, tc.options...)
			if r := b.do(append(append(args, ref), tc.args...)...); r.code != tc.code || r.stdout != tc.stdout {
				t.Errorf("status %d, %q, want %d, %q: %s", r.code, r.stdout, tc.code, tc.stdout, r.stderr)
			}
			nothingLeft(t, b)
		})
	}
	b.t = t
	if rec := b.record("last"); !rec.NoInit {
		t.Error("the record does not say that there was no init")
	}
}

// TestNoInitSignals: signals reach the job that is process 1 as they would reach any other, but for those that it does not
// handle: the kernel drops them.
func TestNoInitSignals(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	const loop = "while :; do sleep 0.02; done"
	for _, tc := range []struct {
		name, script string
		signal       unix.Signal
		options      []string
		code         int
		stdout       string
	}{
		{"SIGTERM is handled", "trap 'echo bye; exit 7' TERM; echo up; " + loop, unix.SIGTERM, nil, 7, "up\nbye\n"},
		{"SIGUSR1 is handled", "trap 'exit 8' USR1; echo up; " + loop, unix.SIGUSR1, nil, 8, "up\n"},
		{"SIGINT, with its group", "trap 'exit 9' INT; sh -c \"trap 'echo child; exit' INT; echo up; " + loop + "\"", unix.SIGINT, nil, 9, "up\nchild\n"},
		{"the stop signal", "trap 'exit 6' WINCH; echo up; " + loop, unix.SIGTERM, []string{"--stop-signal", "WINCH"}, 6, "up\n"},
		{"SIGTERM is not handled", "echo up; exec sleep 1000", unix.SIGTERM, []string{"--stop-timeout", "1s"}, killed, "up\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			j := b.startJob(ref, tc.script, append([]string{"--init=false"}, tc.options...)...)
			j.signal(t, tc.signal)
			if r := b.wait(j); r.code != tc.code || r.stdout != tc.stdout {
				t.Errorf("status %d, %q, want %d, %q: %s", r.code, r.stdout, tc.code, tc.stdout, r.stderr)
			}
			nothingLeft(t, b)
		})
	}
}

// TestUsageOfAllProcesses: what a run used is what all its processes used, waited for or not, whoever is process 1.
func TestUsageOfAllProcesses(t *testing.T) {
	b, ref := busybox(t)
	// It counts its own ticks, of which there are 100 in a second (times(2)).
	const burn = `burn() { awk 'BEGIN { do { getline s <"/proc/self/stat"; close("/proc/self/stat"); split(s, f, " ") } while (f[14]+f[15] < 20) }'; }; `
	// A process that the kernel ends with the container leaves no account behind.
	const ended = `pid=$(cat /tmp/pid); while test -e /proc/$pid && ! grep -q "^State:.Z" /proc/$pid/status; do sleep 0.02; done`
	for _, tc := range []struct{ name, script string }{
		{"the job's own", burn + "burn"},
		{"of a child that nobody waits for", burn + "burn & echo $! >/tmp/pid; " + ended},
		{"of an orphan", burn + "(burn & echo $! >/tmp/pid); " + ended},
	} {
		for _, init := range []string{"--init=true", "--init=false"} {
			t.Run(tc.name+" "+init, func(t *testing.T) {
				b.t = t
				b.ok("run", init, ref, "sh", "-c", tc.script)
				if rec := b.record("last"); rec.Totals.CPUSeconds < 0.2 || rec.Peaks.MemoryBytes == 0 {
					t.Errorf("%v s, %d bytes", rec.Totals.CPUSeconds, rec.Peaks.MemoryBytes)
				}
			})
		}
	}
}
