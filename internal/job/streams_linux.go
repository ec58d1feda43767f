package job

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/terminal"
	"github.com/coracle-run/coracle/runtime/container"
)

// streams join the job's standard streams to the caller's and to the log of the record.
type streams struct {
	caller   Streams
	log      io.Writer
	listen   func() io.WriteCloser // hears one stream of the job
	terminal *container.Size       // the job gets a terminal of this size
	borrowed *terminal.Terminal    // the caller's
	detached bool                  // the caller's streams are for what goes wrong before the job begins
	joint    *joint                // for who attaches, and for the caller to leave

	theirs  []*os.File // given to the job: standard input, output and error
	input   *os.File   // what the job reads, where that is more than a file of the caller's; nil: none
	readers sync.WaitGroup

	mu      sync.Mutex
	trouble error // why the caller has not seen all of the output
}

// openStreams makes what the job will read from and write to. With a terminal there is nothing to make: it comes with the
// container.
func openStreams(caller Streams, log io.Writer, listen func() io.WriteCloser, o Options, joint *joint) (_ *streams, err error) {
	s := &streams{caller: caller, log: log, listen: listen, detached: o.Detach, joint: joint, borrowed: terminal.Borrow(caller.In)}
	if o.Spec.TTY {
		s.terminal = &container.Size{Rows: 24, Cols: 80}
		if size, ok := terminal.SizeOf(caller.sized()...); ok {
			s.terminal = new(container.Size(size))
		}
		return s, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.openInput(o.Interactive); err != nil {
		return nil, err
	}
	outputs := []io.Writer{caller.Out, caller.Err}
	if o.Detach {
		outputs = []io.Writer{nil, nil}
	}
	for stream, out := range outputs {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("making the job's output: %w", err)
		}
		s.theirs = append(s.theirs, w)
		s.readers.Go(func() { s.copy(stream, out, r) })
	}
	return s, nil
}

// openInput: without -i the job reads from /dev/null, as for docker.
func (s *streams) openInput(interactive bool) error {
	if !interactive {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return fmt.Errorf("making the job's input: %w", err)
		}
		s.theirs = append(s.theirs, null)
		return nil
	}
	if s.detached {
		w, r, err := terminal.Pipe(terminal.WriteEnd)
		if err != nil {
			return fmt.Errorf("making the job's input: %w", err)
		}
		s.theirs, s.input = append(s.theirs, r), w
		return nil
	}
	r, w, err := terminal.Input(s.caller.In)
	if err != nil {
		return err
	}
	s.theirs = append(s.theirs, r)
	if w != nil {
		s.input = w
		s.joint.set(w, nil)
		s.joint.typing.Do(func() { s.borrowed.Guard(s.feed) })
	}
	return nil
}

// feed hands the caller's input to a job without a terminal. It ends with the process, or with the input: nothing else ends a read
// from a terminal. The end is for good, also where the job is started again.
func (s *streams) feed() {
	to := io.Writer(s.joint)
	if terminal.Is(s.caller.In) { // what is typed for a job that has ended may be followed by more for the next
		to = patient{s.joint}
	}
	_, _ = terminal.Pass(to, s.caller.In, terminal.Keys{}) // either way there is no more
	s.joint.end()
}

// configure hands the streams to a container's configuration.
func (s *streams) configure(c *container.Config) {
	c.Terminal = s.terminal
	if s.terminal == nil {
		c.Stdin, c.Stdout, c.Stderr = s.theirs[0], s.theirs[1], s.theirs[2]
	}
}

// started lets go of the job's ends, so that the end of the job is the end of its output, and joins terminals.
func (s *streams) started(console *os.File, interactive bool) error {
	if console == nil {
		if s.input != nil {
			s.joint.set(s.input, nil)
		}
		return s.closeTheirs()
	}
	if interactive {
		s.joint.set(console, console)
	} else {
		s.joint.set(nil, console)
	}
	// Before anything is shown: the job's terminal has made "\r\n" of its line ends, and the caller's would do so again.
	err := s.joinTerminal(console, interactive)
	out := s.caller.Out
	if s.detached {
		out = nil
	}
	s.readers.Go(func() { s.copy(outStream, out, console) })
	return err
}

// joinTerminal makes the caller's terminal, if there is one, the job's: its size, and with interactive its keys.
func (s *streams) joinTerminal(console *os.File, interactive bool) error {
	if s.detached {
		return nil
	}
	s.borrowed.Follow(func(size terminal.Size) { terminal.Resize(console, size) }, s.caller.sized()...)
	if !interactive {
		return nil
	}
	if err := s.borrowed.Raw(); err != nil {
		return err
	}
	s.joint.joined(s.borrowed.Return)
	s.joint.typing.Do(func() { s.borrowed.Guard(s.typed) })
	return nil
}

// typed hands what is typed to the job, until the keys to leave it are. It ends with the process: nothing else ends a read from a
// terminal.
func (s *streams) typed() {
	if left, _ := terminal.Pass(patient{s.joint}, s.caller.In, s.joint.keys); left { // of one that is gone the signal tells
		s.joint.part()
	}
}

// finish waits until everything that the job wrote has been passed on and puts the caller's terminal back in order. The job's
// ends are closed first: of a job that never started, nobody else closes them.
func (s *streams) finish() error {
	err := s.closeTheirs()
	s.readers.Wait()
	s.joint.set(nil, nil)
	if s.input != nil {
		_ = s.input.Close() // when the caller's is at its end, a second time
	}
	return errors.Join(err, s.trouble, s.borrowed.Return())
}

func (s *streams) close() error { return errors.Join(s.closeTheirs(), s.borrowed.Return()) }

func (s *streams) closeTheirs() error {
	var errs []error
	for _, f := range s.theirs {
		errs = append(errs, f.Close())
	}
	s.theirs = nil
	return errors.Join(errs...)
}

// copy passes on what the job writes until the job closes it, and closes our end. When nobody reads any more, the job is to know (SIGPIPE) as it
// would without us between; when the caller's terminal is gone for another reason, the log goes on.
func (s *streams) copy(stream int, to io.Writer, from *os.File) {
	defer from.Close()
	heard := s.listen()
	defer heard.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			_, _ = heard.Write(buf[:n])
			_, _ = s.log.Write(buf[:n]) // a full disk must not end a training; the log counts what it could not keep
			s.joint.others.hear(stream, buf[:n])
			if to != nil {
				if _, err := to.Write(buf[:n]); errors.Is(err, unix.EPIPE) {
					return
				} else if err != nil {
					s.lose(err)
					to = nil
				}
			}
		}
		if err != nil { // io.EOF of a pipe, EIO of a terminal whose last user is gone
			return
		}
	}
}

// lose notes that the caller gets no more of the job's output.
func (s *streams) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = fmt.Errorf("passing on the job's output: %w; all of it is in the record's output.log", err)
}
