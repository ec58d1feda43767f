package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// background starts a run that goes on until the test ends, and waits until its job runs.
func background(t *testing.T, b *box, name, ref string, args ...string) {
	t.Helper()
	b.t = t
	if r := b.do(append([]string{"run", "-q", "-d", "--name", name, ref}, args...)...); r.code != 0 {
		t.Fatalf("run -d: status %d: %s", r.code, r.stderr)
	}
	t.Cleanup(func() {
		b.t = t
		b.do("kill", name)
	})
}

// TestTerminalOfExec: a command with -it has a terminal of the size of the caller's and hears when that changes; its keys are the
// command's; and the caller's terminal is afterwards what it was, however the command ends.
func TestTerminalOfExec(t *testing.T) {
	b, ref := busybox(t)
	background(t, b, "beside", ref, "sleep", "1000")
	const loop = "while :; do sleep 0.02; done"
	for _, tc := range []struct {
		name   string
		script string
		then   func(p *terminal, j *job) // once the command says "up"
		code   int
		says   string
	}{
		{"its size", "stty size; echo up", nil, 0, "31 97\r\nup"},
		{"it is resized", "trap 'stty size; exit 4' WINCH; echo up; " + loop, func(p *terminal, _ *job) { p.resize(41, 107) }, 4, "41 107"},
		{"keys are typed", "echo up; read line; echo got $line", func(p *terminal, _ *job) { p.keys("abc\r") }, 0, "got abc"},
		{"the end of input", "echo up; cat; echo over", func(p *terminal, _ *job) { p.keys("\x04") }, 0, "over"},
		{"the key for SIGINT", "trap 'exit 5' INT; echo up; " + loop, func(p *terminal, _ *job) { p.keys("\x03") }, 5, ""},
		{"much output", "echo up; seq 20000", nil, 0, "\n20000\r\n"},
		{"the command spoils its own", "stty raw -echo; echo up", nil, 0, ""},
		{"somebody is left behind", "setsid sleep 1000 & echo up", nil, 0, ""},
		{"the command is killed", "echo up; kill -9 $$", nil, 137, ""},
		{"Coracle gets a signal", "trap 'exit 7' TERM; echo up; " + loop, func(p *terminal, j *job) { j.signal(p.t, unix.SIGTERM) }, 7, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			p := newTerminal(t, 31, 97)
			before := p.settings()
			j := p.start(b, "exec", "-it", "beside", "sh", "-c", tc.script)
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
		})
	}
	b.t = t
	if r := b.wait(newTerminal(t, 24, 80).start(b, "exec", "-it", "beside", "no-such-command")); r.code != 127 {
		t.Errorf("a command that is not there: status %d", r.code)
	}
}

// TestLeavingExec: a command with -it goes on when the keys to leave it are typed, also where it prints on; one of these keys alone is its
// own; and while coracle is stopped the terminal is what it was.
func TestLeavingExec(t *testing.T) {
	b, ref := busybox(t)
	background(t, b, "beside", ref, "sleep", "1000")
	p := newTerminal(t, 24, 80)
	before := p.settings()
	raw := func(want bool) {
		t.Helper()
		waitFor(t, fmt.Sprintf("the terminal is the command's: %v", want), patience, func() error {
			if is := p.settings() != before; is != want {
				return errors.New("it is not so")
			}
			return nil
		})
	}
	j := p.start(b, "exec", "-it", "beside", "sh", "-c", "trap 'touch /tmp/hup' HUP; stty -echo; echo up; read line; echo got $line; read line; while ! test -e /tmp/go; do seq 1000; done; tty -s && touch /tmp/done")
	p.shows("up")
	p.keys("a\x10b\r")
	p.shows("got a\x10b")
	raw(true)
	j.signal(t, unix.SIGTSTP)
	raw(false)
	j.signal(t, unix.SIGCONT)
	raw(true)
	p.keys("\r")
	p.shows("1000")
	p.keys("\x10\x11")
	if r := b.wait(j); r.code != 0 {
		t.Errorf("leaving ends with %d", r.code)
	}
	p.shows("The command goes on")
	raw(false)
	b.ok("exec", "beside", "touch", "/tmp/go")
	waitFor(t, "the command has gone on to its end", patience, func() error {
		if r := b.do("exec", "beside", "sh", "-c", "test -e /tmp/done && ! test -e /tmp/hup"); r.code != 0 {
			return errors.New("not yet")
		}
		return nil
	})
}

// TestJobControlOfExec: a shell has its terminal to itself, with all that belongs to it.
func TestJobControlOfExec(t *testing.T) {
	b, ref := busybox(t)
	background(t, b, "beside", ref, "sleep", "1000")
	p := newTerminal(t, 24, 80)
	j := p.start(b, "exec", "-it", "-e", "PS1=> ", "beside", "sh")
	p.shows("> ")
	p.keys("sleep 1000\r")
	p.shows("sleep 1000\r\n")
	waitFor(t, "it sleeps in the foreground", patience, func() error {
		if r := b.do("exec", "beside", "sh", "-c", "ps | grep -c 'sleep 100[0]'"); strings.TrimSpace(r.stdout) != "2" {
			return errors.New(r.stdout)
		}
		return nil
	})
	p.keys("\x1a")
	p.shows("Stopped")
	p.keys("kill -9 %1; exec sh -c \"exit 6\"\r")
	if r := b.wait(j); r.code != 6 {
		t.Errorf("status %d", r.code)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if text := p.text.String(); strings.Contains(text, "job control") || strings.Contains(text, "process group") {
		t.Errorf("%q", text)
	}
}

// TestTerminalOfExecGoes: a command whose coracle is killed has lost its terminal, as behind a window that is closed.
func TestTerminalOfExecGoes(t *testing.T) {
	b, ref := busybox(t)
	background(t, b, "beside", ref, "sleep", "1000")
	p := newTerminal(t, 24, 80)
	j := p.start(b, "exec", "-it", "beside", "sh", "-c", "trap 'echo gone >/tmp/hup; exit 1' HUP; echo up; while :; do sleep 0.02; done")
	p.shows("up")
	j.signal(t, unix.SIGKILL)
	b.wait(j)
	waitFor(t, "the command has had SIGHUP", patience, func() error {
		if r := b.do("exec", "beside", "cat", "/tmp/hup"); r.code != 0 || strings.TrimSpace(r.stdout) != "gone" {
			return fmt.Errorf("status %d: %s", r.code, r.stderr)
		}
		return nil
	})
}
