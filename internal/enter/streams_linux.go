package enter

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/terminal"
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
	if !s.command.Interactive || s.command.Detached {
		return s.openNull(os.O_RDONLY)
	}
	r, w, err := terminal.Input(in)
	if err != nil {
		return err
	}
	s.theirs = append(s.theirs, r)
	if w == nil {
		return nil
	}
	s.terminal.Guard(func() { // ends with this process: nothing else ends a read from a terminal
		_, _ = terminal.Pass(w, in, terminal.Keys{}) // either way there is no more
		_ = w.Close()
	})
	return nil
}

// openOutput makes a pipe even where the caller has one: what the command leaves behind would hold it open, and who reads it to its end
// would wait for that.
func (s *session) openOutput(to *os.File) error {
	if s.command.Detached {
		return s.openNull(os.O_WRONLY)
	}
	r, w, err := terminal.Pipe(terminal.ReadEnd)
	if err != nil {
		return err
	}
	s.theirs = append(s.theirs, w)
	s.outputs = append(s.outputs, copyOutput(s.terminal, to, r))
	return nil
}

func (s *session) openNull(flags int) error {
	null, err := os.OpenFile(os.DevNull, flags, 0)
	if err != nil {
		return err
	}
	s.theirs = append(s.theirs, null)
	return nil
}

// output is one stream of the command on its way to the caller.
type output struct {
	from, to *os.File

	done chan struct{}
	hold time.Duration // for how long more may come when the command has ended
	lost error         // why the caller has not got all of it
}

// copyOutput begins to pass on what comes.
func copyOutput(t *terminal.Terminal, to, from *os.File) *output {
	o := &output{from: from, to: to, done: make(chan struct{})}
	t.Guard(func() {
		defer close(o.done)
		o.copy()
	})
	return o
}

// copy passes on until nobody can write any more, or the patience with that is over. When nobody reads any more, the command is to know
// (SIGPIPE, SIGHUP), as it would without us between.
func (o *output) copy() {
	buf := make([]byte, 64<<10)
	for {
		n, err := o.from.Read(buf)
		o.pass(buf[:n])
		if errors.Is(o.lost, unix.EPIPE) {
			_ = o.from.Close()
			return
		}
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
		closeErr := o.from.Close()
		<-o.done
		if errors.Is(o.lost, unix.EPIPE) { // copy has closed it
			return o.lost
		}
		return errors.Join(err, closeErr)
	}
	<-o.done
	if errors.Is(o.lost, unix.EPIPE) {
		return o.lost
	}
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
