package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pty is a terminal: what a person sees and types is master's, what a program reads slave's.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

// shared is a buffer that is written to and looked at at once.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// echoes reports whether a terminal shows what is typed.
func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func TestAskLine(t *testing.T) {
	master, slave := pty(t)
	seen := &shared{}
	go func() { _, _ = io.Copy(seen, master) }()
	questions := &shared{}
	p := New(io.Discard, questions, func(string) string { return "" })

	if _, err := master.WriteString("me \n"); err != nil {
		t.Fatal(err)
	}
	if got, err := p.AskLine(t.Context(), slave, "Who\x1b: "); err != nil || got != "me " {
		t.Errorf("%q, %v", got, err)
	}
	go func() {
		for echoes(t, slave) {
			time.Sleep(time.Millisecond)
		}
		_, _ = master.WriteString("hush\n")
	}()
	if got, err := p.AskSecret(t.Context(), slave, "Password: "); err != nil || got != "hush" {
		t.Errorf("%q, %v", got, err)
	}
	waitFor(t, "what was typed is seen", func() bool { return strings.Contains(seen.String(), "me") })
	if strings.Contains(seen.String(), "hush") || !echoes(t, slave) {
		t.Errorf("the terminal shows %q, and shows what is typed: %v", seen, echoes(t, slave))
	}
	if got := questions.String(); got != `Who\x1b: Password: `+"\n" {
		t.Errorf("asked %q", got)
	}
}

// Who is interrupted at the password gets back a terminal that shows what is typed.
func TestAskSecretInterrupted(t *testing.T) {
	_, slave := pty(t)
	p := New(io.Discard, io.Discard, func(string) string { return "" })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := p.AskSecret(ctx, slave, "Password: ")
		ended <- err
	}()
	waitFor(t, "the terminal hides what is typed", func() bool { return !echoes(t, slave) })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !echoes(t, slave) {
		t.Error("the terminal still hides what is typed")
	}
}

func TestAskNobody(t *testing.T) {
	p := New(io.Discard, io.Discard, func(string) string { return "" })
	if _, err := p.AskLine(t.Context(), strings.NewReader("x\n"), "?"); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("%v", err)
	}
	if _, err := p.AskSecret(t.Context(), strings.NewReader("x\n"), "?"); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("%v", err)
	}
}
