package terminal

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Size is that of a terminal, in characters.
type Size struct{ Rows, Cols uint16 }

// Is reports whether a file is a terminal. nil is none.
func Is(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// SizeOf is the size of the first of some files that is a terminal and has one. Some may be nil.
func SizeOf(files ...*os.File) (size Size, ok bool) {
	for _, f := range files {
		control(f, func(fd int) {
			ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
			if ok = err == nil && ws.Row > 0 && ws.Col > 0; ok {
				size = Size{Rows: ws.Row, Cols: ws.Col}
			}
		})
		if ok {
			break
		}
	}
	return size, ok
}

// Resize gives a terminal a size. One that is gone needs none.
func Resize(f *os.File, to Size) {
	control(f, func(fd int) {
		_ = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: to.Rows, Col: to.Cols}) // cosmetic
	})
}

// control does something with a descriptor, which Fd would have block from then on.
func control(f *os.File, do func(fd int)) {
	raw, err := f.SyscallConn()
	if err != nil { // of none, too
		return
	}
	_ = raw.Control(func(fd uintptr) { do(int(fd)) }) // of a file that is closed nothing is done
}

// Terminal is a caller's, which is another program's for a while. Whoever borrows it gives it back on every way out; see Guard for
// those of other goroutines. Only the kernel's SIGKILL leaves it as it is.
type Terminal struct {
	in   *os.File // nil: there is none
	ends []func() // of what follows it

	mu       sync.Mutex
	state    *term.State // as it was; nil: it is not changed
	returned bool
}

// Borrow takes a terminal, which may be no terminal at all: then nothing is done to it.
func Borrow(in *os.File) *Terminal {
	if !Is(in) {
		in = nil
	}
	return &Terminal{in: in}
}

// Raw has every key passed on as it is. From the background it waits for the foreground, as whatever changes a terminal does (SIGTTOU).
func (t *Terminal) Raw() error {
	return t.change(term.MakeRaw)
}

// Hold remembers what it is for restore, for another process will change it. From the background it waits like Raw.
func (t *Terminal) Hold() error {
	return t.change(func(fd int) (*term.State, error) {
		state, err := term.GetState(fd)
		if err == nil {
			err = term.Restore(fd, state)
		}
		return state, err
	})
}

func (t *Terminal) change(to func(fd int) (was *term.State, err error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.in == nil || t.returned {
		return nil
	}
	state, err := to(int(t.in.Fd()))
	if err != nil {
		return fmt.Errorf("preparing the terminal: %w", err)
	}
	if t.state == nil {
		t.state = state
	}
	return nil
}

// restore makes it what it was. A second call does nothing.
func (t *Terminal) restore() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == nil {
		return nil
	}
	fd, was := int(t.in.Fd()), t.state
	t.state = nil
	is, err := term.GetState(fd)
	if err == nil && *is != *was { // else it is somebody else's by now, perhaps, and to touch it would stop this process
		err = term.Restore(fd, was)
	}
	if err != nil && !errors.Is(err, unix.EIO) { // of one that is closed: nobody sees it any more
		return fmt.Errorf("restoring the terminal: %w", err)
	}
	return nil
}

// Return gives the terminal back for good: it is what it was, and nothing follows it any more.
func (t *Terminal) Return() error {
	t.mu.Lock()
	ends := t.ends
	t.ends, t.returned = nil, true
	t.mu.Unlock()
	for _, end := range ends {
		end()
	}
	return t.restore()
}

// Guard begins what has a goroutine of its own. Should it panic, which ends the process past all that is deferred elsewhere, the
// terminal is given back first.
func (t *Terminal) Guard(f func()) {
	go func() {
		defer func() {
			if r := recover(); r != nil {
				_ = t.restore() // there is something worse to be told
				panic(r)
			}
		}()
		f()
	}()
}

// Follow has resize called now, and whenever a terminal has another size, or may have, until this one is returned. The first of the
// files that is a terminal counts.
func (t *Terminal) Follow(resize func(Size), files ...*os.File) {
	tell := func() {
		if size, ok := SizeOf(files...); ok {
			resize(size)
		}
	}
	tell()
	t.on(tell, unix.SIGWINCH, unix.SIGCONT) // SIGCONT: while stopped, this process heard of no change of size
}

// Suspend lets SIGTSTP stop this process, whose terminal is then what it was until the process goes on.
func (t *Terminal) Suspend() {
	t.on(func() {
		if t.restore() != nil {
			return
		}
		stop()
		_ = t.Raw() // waits for the foreground; what fails leaves a terminal that can be typed at
	}, unix.SIGTSTP)
}

// stop stops this process until somebody lets it go on. A signal to the process could reach another thread of it first, and this one would
// run on for a while; one to the thread it has before the call returns.
func stop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) // cannot fail
}

// on has something done for each of some signals until the terminal is returned.
func (t *Terminal) on(do func(), signals ...os.Signal) {
	coming, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(coming, signals...)
	t.mu.Lock()
	t.ends = append(t.ends, func() {
		signal.Stop(coming)
		close(over)
	})
	t.mu.Unlock()
	t.Guard(func() {
		for {
			select {
			case <-coming:
				do()
			case <-over:
				return
			}
		}
	})
}
