package enter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// open makes the command's standard streams. With a terminal there is nothing to make: it comes with the command.
func (s *session) open() error {
	if s.command.Terminal {
		return nil
	}
	if err := s.openInput(); err != nil {
		return fmt.Errorf("making the command's input: %w", err)
	}
	for _, to := range []*os.File{s.caller.Out, s.caller.Err} {
		if err := s.openOutput(to); err != nil {
			return fmt.Errorf("making the command's output: %w", err)
		}
	}
	return nil
}

func (s *session) openInput() error {
	in := s.caller.In
	switch {
	case !s.command.Interactive || s.command.Detached:
		return s.openNull(os.O_RDONLY)
	case isPipe(in):
		return s.share(in)
	}
	w, r, err := pipe(1)
	if err != nil {
		return err
	}
	s.theirs = append(s.theirs, r)
	go func() { // ends with this process: nothing else ends a read from a terminal
		_, _ = io.Copy(w, in)
		_ = w.Close()
	}()
	return nil
}

// openOutput makes a pipe even where the caller has one: what the command leaves behind would hold it open, and who reads it to its end
// would wait for that.
func (s *session) openOutput(to *os.File) error {
	if s.command.Detached {
		return s.openNull(os.O_WRONLY)
	}
	r, w, err := pipe(0)
	if err != nil {
		return err
	}
	s.theirs = append(s.theirs, w)
	s.outputs = append(s.outputs, copyOutput(to, r))
	return nil
}

// pipe is one of which an end is ours, to read (0) or to write (1). The other one blocks, as programs expect, which it does not where
// os.Pipe has made it.
func pipe(end int) (ours, theirs *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if err := unix.SetNonblock(fds[end], true); err != nil { // so that a Read can be ended
		return nil, nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[end]), "pipe"), os.NewFile(uintptr(fds[1-end]), "pipe"), nil
}

func (s *session) openNull(flags int) error {
	null, err := os.OpenFile(os.DevNull, flags, 0)
	if err != nil {
		return err
	}
	s.theirs = append(s.theirs, null)
	return nil
}

// share gives the command a pipe of the caller's itself.
func (s *session) share(pipe *os.File) error {
	fd, err := unix.FcntlInt(pipe.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	s.theirs = append(s.theirs, os.NewFile(uintptr(fd), pipe.Name()))
	return nil
}

// isPipe is false for a named one, too, which has a place where it can be found.
func isPipe(f *os.File) bool {
	const pipefs = 0x50495045 // PIPEFS_MAGIC, linux/magic.h
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == pipefs
}

// output is one stream of the command on its way to the caller.
type output struct {
	from *os.File
	to   *os.File
	done chan struct{}
	hold time.Duration // for how long more may come when the command has ended
	lost error         // why the caller has not got all of it
}

// copyOutput begins to pass on what comes.
func copyOutput(to, from *os.File) *output {
	o := &output{from: from, to: to, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.copy()
	}()
	return o
}

// copy passes on until nobody can write any more, or the patience with that is over.
func (o *output) copy() {
	buf := make([]byte, 64<<10)
	for {
		n, err := o.from.Read(buf)
		o.pass(buf[:n])
		if err != nil { // io.EOF of a pipe, EIO of a terminal whose last user is gone
			return
		}
	}
}

func (o *output) pass(text []byte) {
	if o.lost != nil || len(text) == 0 {
		return // the command goes on all the same
	}
	if _, err := o.to.Write(text); err != nil {
		o.lost = fmt.Errorf("passing on the command's output: %w", err)
	}
}

// finish takes what an ended command has left in its pipe, and does not wait for what others write to it whom the command has left
// behind. A terminal is hung up with its command, and then ends by itself; what was written to it may take a moment to come.
func (o *output) finish() error {
	if err := o.from.SetReadDeadline(time.Now().Add(o.hold)); err != nil {
		return errors.Join(err, o.from.Close())
	}
	<-o.done
	_ = o.from.SetReadDeadline(time.Time{}) // has just worked
	raw, err := o.from.SyscallConn()
	if err != nil {
		return errors.Join(err, o.from.Close())
	}
	buf := make([]byte, 64<<10)
	for more := true; more; {
		err = raw.Read(func(fd uintptr) bool {
			n, err := unix.Read(int(fd), buf)
			if more = n > 0 || errors.Is(err, unix.EINTR); n > 0 {
				o.pass(buf[:n])
			}
			return true
		})
		more = more && err == nil
	}
	return errors.Join(o.lost, o.from.Close())
}

// hangUpPatience is how long a terminal may take to end with its command.
const hangUpPatience = time.Second

// join makes the caller's terminal the command's: its size, and with -i its keys.
func (s *session) join(console *os.File) error {
	in := int(s.caller.In.Fd())
	if !term.IsTerminal(in) {
		s.showTerminal(console)
		return nil
	}
	resized, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(resized, syscall.SIGWINCH)
	var state *term.State
	s.undo = func() (err error) {
		signal.Stop(resized)
		close(over)
		if state != nil {
			err = term.Restore(in, state)
		}
		return err
	}
	go s.follow(console, resized, over)
	if s.command.Interactive {
		var err error
		if state, err = term.MakeRaw(in); err != nil {
			_ = console.Close() // and the command gets SIGHUP
			return fmt.Errorf("preparing the terminal: %w", err)
		}
		go func() { _, _ = io.Copy(console, s.caller.In) }() // ends with this process
	}
	s.showTerminal(console)
	return nil
}

func (s *session) showTerminal(console *os.File) {
	o := copyOutput(s.caller.Out, console)
	o.hold = hangUpPatience
	s.outputs = append(s.outputs, o)
}

// follow gives the command's terminal the size of the caller's, whenever that changes.
func (s *session) follow(console *os.File, resized <-chan os.Signal, over <-chan struct{}) {
	raw, err := console.SyscallConn()
	if err != nil {
		return // it keeps its size
	}
	for {
		size := s.size()
		_ = raw.Control(func(fd uintptr) { // cosmetic
			_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
		})
		select {
		case <-resized:
		case <-over:
			return
		}
	}
}
