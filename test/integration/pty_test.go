package integration_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// terminal is a pseudo-terminal with somebody who reads what appears on it.
type terminal struct {
	t             *testing.T
	master, slave *os.File
	fd            int // of master: to ask a File for it would make reads block

	mu   sync.Mutex
	out  io.Writer // gets what appears: text, unless a test wants it
	text strings.Builder
	done chan struct{} // closed when nobody has the slave open any more
}

// newTerminal is a terminal of so many rows and columns.
func newTerminal(t *testing.T, rows, cols uint16) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		need.Missing(t, "pty", err.Error())
	}
	p := &terminal{t: t, master: os.NewFile(uintptr(fd), "ptmx"), fd: fd, done: make(chan struct{})}
	p.out = &p.text
	t.Cleanup(func() { _ = p.master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if p.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.slave.Close() })
	p.resize(rows, cols)
	go p.read()
	return p
}

func (p *terminal) read() {
	defer close(p.done)
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		_, _ = p.out.Write(buf[:n]) // none of these fails
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *terminal) resize(rows, cols uint16) {
	p.t.Helper()
	if err := unix.IoctlSetWinsize(p.fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		p.t.Fatal(err)
	}
}

// to has what appears written to w, not kept.
func (p *terminal) to(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = w
}

// keys are pressed.
func (p *terminal) keys(text string) {
	p.t.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// shows waits until a text has appeared on the screen.
func (p *terminal) shows(text string) {
	p.t.Helper()
	waitFor(p.t, fmt.Sprintf("the terminal shows %q", text), patience, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !strings.Contains(p.text.String(), text) {
			return fmt.Errorf("it shows %q", p.text.String())
		}
		return nil
	})
}

// settings are the terminal's modes: echo, line editing, keys that send signals.
func (p *terminal) settings() unix.Termios {
	p.t.Helper()
	settings, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *settings
}

// start runs coracle as a shell would in this terminal: in a session of its own, which the terminal controls.
func (p *terminal) start(b *box, args ...string) *job {
	p.t.Helper()
	j := &job{Cmd: b.command(args...)}
	j.Stdin, j.Stdout, j.Stderr = p.slave, p.slave, p.slave
	j.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := j.Start(); err != nil {
		p.t.Fatal(err)
	}
	return j
}

// hangUp is what happens to a terminal whose window is closed.
func (p *terminal) hangUp() {
	p.t.Helper()
	if err := errors.Join(p.slave.Close(), p.master.Close()); err != nil {
		p.t.Fatal(err)
	}
}
