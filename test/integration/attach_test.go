package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLeaving: a job with -it goes on when the keys for that are typed; others attach and see its terminal, each in its own size, and leave
// it again by keys of their own; the last one sees it end. Every terminal is then what it was.
func TestLeaving(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	const script = "stty -echo; trap 'set -- $(stty size); echo rows $1' WINCH; echo up; while :; do if read -r line; then case $line in end) exit 9;; *) echo got $line; esac; fi; done" // a signal ends the read
	first := newTerminal(t, 31, 97)
	before := first.settings()
	j := first.start(b, "run", "-it", "--timeout", "5m", "--name", "shell", ref, "sh", "-c", script)
	first.shows("up")
	first.keys("one\r")
	first.shows("got one")
	first.keys("\x10\x11")
	if r := b.wait(j); r.code != 0 {
		t.Errorf("leaving ends with %d", r.code)
	}
	first.shows("goes on")
	if after := first.settings(); after != before {
		t.Errorf("the terminal was\n%+v and is\n%+v", before, after)
	}
	if held := holders(t, first, b); held {
		t.Error("the supervisor still has the terminal that was left")
	}

	second, third := newTerminal(t, 25, 70), newTerminal(t, 20, 60)
	a := second.start(b, "attach", "shell")
	second.shows("rows 25")
	c := third.start(b, "attach", "--detach-keys", "ctrl-a,x", "shell")
	third.shows("rows 20")
	third.keys("two\r")
	second.shows("got two")
	third.shows("got two")
	third.keys("\x10\x11three\r")
	second.shows("three")
	third.keys("\x01x")
	if r := b.wait(c); r.code != 0 {
		t.Errorf("leaving ends with %d", r.code)
	}
	second.keys("end\r")
	if r := b.wait(a); r.code != 9 {
		t.Errorf("attached: status %d, want the job's", r.code)
	}
	for _, p := range []*terminal{second, third} {
		if after := p.settings(); after.Lflag != before.Lflag || after.Iflag != before.Iflag {
			t.Errorf("the terminal was\n%+v and is\n%+v", before, after)
		}
	}
	if r := b.record("shell"); r.Cause != "exited" || *r.ExitCode != 9 {
		t.Errorf("%+v", r)
	}
	nothingLeft(t, b)
}

// holders reports whether the supervisor of the box's newest run has a terminal open.
func holders(t *testing.T, p *terminal, b *box) bool {
	t.Helper()
	pid := b.supervisor("last")
	entries, err := os.ReadDir("/proc/" + pid + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/" + pid + "/fd/" + e.Name()); err == nil && to == p.slave.Name() {
			return true
		}
	}
	return false
}

// TestTerminalOfADetachedRunGoes: a run with -d does not notice that its terminal is closed.
func TestTerminalOfADetachedRunGoes(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.dir("out")
	p := newTerminal(t, 24, 80)
	j := p.start(b, "run", "-d", "--timeout", "5m", "--name", "lives", "-v", b.wd+"/out:/out", ref, "sh", "-c", "trap 'exit 8' HUP; while ! test -e /out/go; do sleep 0.02; done; exit 6")
	if r := b.wait(j); r.code != 0 {
		t.Fatalf("status %d", r.code)
	}
	p.hangUp()
	b.file("out/go", "")
	if code := b.ok("wait", "lives"); code != "6" {
		t.Errorf("status %s", code)
	}
	nothingLeft(t, b)
}

// TestFrontOfATerminalIsKilled: it is as if the terminal had gone.
func TestFrontOfATerminalIsKilled(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	p := newTerminal(t, 24, 80)
	j := p.start(b, "run", "-it", "--name", "front", ref, "sh", "-c", "trap 'exit 3' HUP; echo up; while :; do sleep 0.02; done")
	p.shows("up")
	j.signal(t, unix.SIGKILL)
	_ = j.Wait() // it was killed
	if code := b.ok("wait", "front"); code != "3" {
		t.Errorf("status %s", code)
	}
	nothingLeft(t, b)
}

// TestLookingOn: a job lives on that somebody has attached to whose terminal is closed, whose reader is gone, or who gets a signal that
// is his own; and a terminal that is still there is what it was.
func TestLookingOn(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.ok("run", "-dit", "--timeout", "5m", "--name", "shell", ref, "sh", "-c", "trap 'echo hup' HUP; stty -echo; while :; do if read -r line; then echo got $line; fi; done")
	b.ok("run", "-d", "--timeout", "5m", "--name", "mute", ref, "sleep", "1000")
	for _, tc := range []struct {
		name string
		args []string
		then func(p *terminal, j *job)
		code int
	}{
		{"closed", []string{"shell"}, func(p *terminal, _ *job) { p.hangUp() }, 128 + int(unix.SIGHUP)},
		{"closed, without a terminal of the job's", []string{"mute"}, func(p *terminal, _ *job) { p.hangUp() }, 128 + int(unix.SIGHUP)},
		{"SIGTERM", []string{"shell"}, func(p *terminal, j *job) { j.signal(p.t, unix.SIGTERM) }, 128 + int(unix.SIGTERM)},
		{"SIGQUIT", []string{"shell"}, func(p *terminal, j *job) { j.signal(p.t, unix.SIGQUIT) }, 128 + int(unix.SIGQUIT)},
		{"Ctrl-C of one who only looks on", []string{"--no-stdin", "shell"}, func(p *terminal, _ *job) { p.keys("\x03") }, 128 + int(unix.SIGINT)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			p := newTerminal(t, 24, 80)
			before := p.settings()
			j := p.start(b, append([]string{"attach"}, tc.args...)...)
			b.attachedTo(tc.args[len(tc.args)-1], 1)
			if tc.args[0] == "shell" {
				p.keys("a\x10b\r") // the first of the keys to leave, and another one
				p.shows("got a\x10b")
			}
			tc.then(p, j)
			if r := b.wait(j); r.code != tc.code {
				t.Errorf("status %d, want %d", r.code, tc.code)
			}
			if !strings.HasPrefix(tc.name, "closed") {
				if after := p.settings(); after != before {
					t.Errorf("the terminal was\n%+v and is\n%+v", before, after)
				}
			}
			for _, name := range []string{"shell", "mute"} {
				if r := b.record(name); r.State != "running" {
					t.Errorf("%s: %+v", name, r)
				}
			}
		})
	}
	b.t = t
	b.ok("kill", "shell", "mute")
	nothingLeft(t, b)
}

// TestReaderOfAnAttachedTerminalGoes: the terminal at which somebody types is what it was, though nobody reads the output elsewhere.
func TestReaderOfAnAttachedTerminalGoes(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.ok("run", "-dit", "--timeout", "5m", "--name", "shell", ref, "sh", "-c", "stty -echo; while read -r line; do echo got $line; done")
	for _, args := range [][]string{{"attach", "shell"}, {"exec", "-it", "shell", "sh", "-c", "while read -r line; do echo got $line; done"}} {
		p := newTerminal(t, 24, 80)
		before := p.settings()
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		j := &job{Cmd: b.command(args...)}
		j.Stdin, j.Stdout, j.Stderr = p.slave, write, p.slave
		if err := errors.Join(j.Start(), write.Close()); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the terminal is the job's", patience, func() error {
			if p.settings() == before {
				return errors.New("not yet")
			}
			return nil
		})
		if err := read.Close(); err != nil {
			t.Fatal(err)
		}
		p.keys("one\r")
		if r := b.wait(j); r.code != 128+int(unix.SIGPIPE) {
			t.Errorf("%q: status %d", args, r.code)
		}
		if after := p.settings(); after != before {
			t.Errorf("%q: the terminal was\n%+v and is\n%+v", args, before, after)
		}
	}
	b.ok("kill", "shell")
}

// TestSupervisorOfATerminalIsKilled: what has been its terminal is what it was.
func TestSupervisorOfATerminalIsKilled(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	p := newTerminal(t, 24, 80)
	before := p.settings()
	j := p.start(b, "run", "-it", "--name", "shell", ref, "sh", "-c", "echo up; sleep 1000")
	p.shows("up")
	pid, err := strconv.Atoi(b.supervisor("shell"))
	if err != nil || pid == j.Process.Pid {
		t.Fatal(pid, err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := b.wait(j); r.code != 137 {
		t.Errorf("status %d", r.code)
	}
	if after := p.settings(); after != before {
		t.Errorf("the terminal was\n%+v and is\n%+v", before, after)
	}
	b.ok("gc")
	nothingLeft(t, b)
}

// TestSecretOfATerminal: a secret is not in the environment of the process that only looks after the terminal.
func TestSecretOfATerminal(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	t.Setenv("TOKEN", "a value of its own")
	p := newTerminal(t, 24, 80)
	j := p.start(b, "run", "-it", "--secret", "id=t,env=TOKEN", ref, "sh", "-c", "cat /run/secrets/t; echo; read line")
	p.shows("a value of its own")
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", j.Process.Pid))
	if err != nil || bytes.Contains(environ, []byte("a value")) || !bytes.Contains(environ, []byte("PATH=")) {
		t.Errorf("%q, %v", environ, err)
	}
	p.keys("\r")
	if r := b.wait(j); r.code != 0 {
		t.Errorf("status %d", r.code)
	}
}

// TestAttachedReadersHoldUpNobody: a job prints as fast as it likes, whoever has attached and does not read; those that read have all of it.
func TestAttachedReadersHoldUpNobody(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.dir("out")
	const size = 32 << 20
	b.ok("run", "-d", "--timeout", "5m", "--name", "loud", "-v", b.wd+"/out:/out", ref, "sh", "-c",
		"while ! test -e /out/go; do sleep 0.02; done; echo begin; head -c 33554432 /dev/zero | tr '\\0' x; echo; echo end; while ! test -e /out/over; do sleep 0.02; done; echo last")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	deaf := b.command("attach", "--no-stdin", "loud")
	deaf.Stdout = write
	if err := errors.Join(deaf.Start(), write.Close()); err != nil {
		t.Fatal(err)
	}
	hears := b.start("attach", "--no-stdin", "loud")
	b.attachedTo("loud", 2)
	b.file("out/go", "")
	waitFor(t, "the job has printed everything", patience, func() error {
		if info, err := os.Stat(b.root + "/runs/" + b.record("loud").ID + "/output.log"); err != nil || info.Size() < size {
			return errors.New("not yet")
		}
		return nil
	})
	b.file("out/over", "")
	if code := b.ok("wait", "loud"); code != "0" {
		t.Errorf("status %s", code)
	}
	if r := b.wait(hears); r.code != 0 || !strings.HasPrefix(r.stdout, "begin\n") || !strings.HasSuffix(r.stdout, "last\n") {
		t.Errorf("status %d, %d bytes, %s", r.code, len(r.stdout), r.stderr)
	}
	if err := deaf.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = deaf.Wait() // it was killed
	nothingLeft(t, b)
}

// TestManyAttachBesideMuchOutput: who attaches and leaves while a job prints as fast as it can costs the log no byte and the supervisor no
// memory that would grow with the output, though one of them never reads.
func TestManyAttachBesideMuchOutput(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	const lines = 2_000_000
	id := b.ok("run", "-dit", "--timeout", "5m", "--name", "loud", ref, "sh", "-c", fmt.Sprintf("stty -echo -onlcr; read x; seq %d; read x; exit 5", lines))
	pid := b.supervisor("loud")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	deaf := &job{Cmd: b.command("attach", "--no-stdin", "loud")}
	deaf.Stdout = write
	if err := errors.Join(deaf.Start(), write.Close()); err != nil {
		t.Fatal(err)
	}
	b.attachedTo("loud", 1)
	for i := range 20 {
		p := newTerminal(t, 24, 80)
		before := p.settings()
		j := p.start(b, "attach", "loud")
		waitFor(t, "the terminal is the job's", patience, func() error { // before, its driver would take some keys for itself
			if p.settings() == before {
				return errors.New("not yet")
			}
			return nil
		})
		if i == 0 {
			p.keys("go\r")
		}
		p.keys("\x10\x11")
		if r := b.wait(j); r.code != 0 {
			t.Errorf("leaving ends with %d", r.code)
		}
		if after := p.settings(); after != before {
			t.Errorf("the terminal was\n%+v and is\n%+v", before, after)
		}
	}
	var want bytes.Buffer
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	log := b.root + "/runs/" + id + "/output.log"
	waitFor(t, "the log has everything", patience, func() error {
		if info, err := os.Stat(log); err != nil || info.Size() < int64(want.Len()) {
			return errors.New("not yet")
		}
		return nil
	})
	if got, err := os.ReadFile(log); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("the log has %d bytes of %d, or others: %v", len(got), want.Len(), err)
	}
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if kb, err := strconv.Atoi(strings.Fields(rest)[0]); err != nil || kb > 128<<10 {
		t.Errorf("the supervisor has taken %d KiB (%v)", kb, err)
	}
	if err := deaf.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = deaf.Wait() // it was killed
	b.ok("kill", "loud")
	nothingLeft(t, b)
}

// supervisor is the process that supervises a run.
func (b *box) supervisor(name string) string {
	b.t.Helper()
	return b.ok("runs", "--filter", "id="+b.record(name).ID, "--format", `{{.Get "supervisor.pid"}}`)
}

// attachedTo waits until so many have attached to a run: each has sockets of its own at the supervisor.
func (b *box) attachedTo(name string, n int) {
	b.t.Helper()
	pid := b.supervisor(name)
	sockets := func() (count int) {
		entries, _ := os.ReadDir("/proc/" + pid + "/fd")
		for _, e := range entries {
			if to, err := os.Readlink("/proc/" + pid + "/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
				count++
			}
		}
		return count
	}
	const own, each = 4, 3 // to the keeper, to init twice, that of control; a conversation and two streams
	waitFor(b.t, "they have attached", patience, func() error {
		if got := sockets(); got < own+each*n {
			return errors.New("not yet")
		}
		return nil
	})
}
