package integration_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTerminal: a job with -it has a terminal of the size of the caller's and hears when that changes; its keys are the job's; and
// the caller's terminal is afterwards what it was, however the run ends.
func TestTerminal(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	const loop = "while :; do sleep 0.02; done"
	for _, tc := range []struct {
		name   string
		script string
		then   func(p *terminal, j *job) // once the job says "up"
		code   int
		says   string
	}{
		{"its size", "stty size; echo up", nil, 0, "31 97\r\nup"},
		{"it is resized", "trap 'stty size; exit 4' WINCH; echo up; " + loop, func(p *terminal, _ *job) { p.resize(41, 107) }, 4, "41 107"},
		{"keys are typed", "read line; echo up; read line; echo got $line", func(p *terminal, _ *job) { p.keys("abc\r") }, 0, "got abc"},
		{"the end of input", "echo up; cat; echo over", func(p *terminal, _ *job) { p.keys("\x04") }, 0, "over"},
		{"the key for SIGINT", "trap 'exit 5' INT; echo up; " + loop, func(p *terminal, _ *job) { p.keys("\x03") }, 5, ""},
		{"the key for SIGQUIT", "trap 'exit 6' QUIT; echo up; " + loop, func(p *terminal, _ *job) { p.keys("\x1c") }, 6, ""},
		{"the job spoils its own", "stty raw -echo; echo up", nil, 0, ""},
		{"the job is killed", "echo up; kill -9 $$", nil, 137, ""},
		{"Coracle is asked to end", "trap 'exit 7' TERM; echo up; " + loop, func(p *terminal, j *job) { j.signal(p.t, unix.SIGTERM) }, 7, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			p := newTerminal(t, 31, 97)
			before := p.settings()
			j := p.start(b, "run", "-it", ref, "sh", "-c", tc.script)
			if tc.name == "keys are typed" { // before the job is there to read them
				p.keys("early\r")
			}
			p.shows("up")
			if tc.then != nil {
				tc.then(p, j)
			}
			if r := b.wait(j); r.code != tc.code {
				t.Errorf("status %d, want %d", r.code, tc.code)
			}
			p.shows(tc.says)
			if after := p.settings(); after != before {
				t.Errorf("the terminal was\n%+v and is\n%+v", before, after)
			}
			nothingLeft(t, b)
		})
	}
}

// TestTerminalOfACommandThatIsNotThere: a terminal is as it was after a run that never began.
func TestTerminalOfACommandThatIsNotThere(t *testing.T) {
	b, ref := busybox(t)
	p := newTerminal(t, 24, 80)
	before := p.settings()
	if r := b.wait(p.start(b, "run", "-it", ref, "no-such-command")); r.code != 127 {
		t.Errorf("status %d", r.code)
	}
	if after := p.settings(); after != before {
		t.Errorf("the terminal was\n%+v and is\n%+v", before, after)
	}
}

// TestTerminalGoes: a window that is closed asks the job to end (SIGHUP), and kills it when it does not.
func TestTerminalGoes(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	for _, tc := range []struct {
		name, script string
		code         int
	}{
		{"the job ends", "echo up; exec sleep 1000", 128 + int(unix.SIGHUP)},
		{"the job has its own way", "trap 'exit 3' HUP; echo up; while :; do sleep 0.02; done", 3},
		{"the job goes on", "trap '' HUP; echo up; while :; do sleep 0.02; done", 137},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			p := newTerminal(t, 24, 80)
			j := p.start(b, "run", "-it", "--stop-timeout", "1", ref, "sh", "-c", tc.script)
			p.shows("up")
			p.hangUp()
			if r := b.wait(j); r.code != tc.code {
				t.Errorf("status %d, want %d", r.code, tc.code)
			}
			nothingLeft(t, b)
		})
	}
}

func (j *job) signal(t *testing.T, number syscall.Signal) {
	t.Helper()
	if err := j.Process.Signal(number); err != nil {
		t.Fatal(err)
	}
}
