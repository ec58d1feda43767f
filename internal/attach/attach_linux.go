package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/detach"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/undo"
)

// Options is how a caller attaches.
type Options struct {
	In       *os.File // nil: nothing is typed
	Out, Err io.Writer
	Keys     detach.Keys // that are typed to leave a job with a terminal
}

// Run attaches through a connection and returns when the job has ended, the caller has left, which it reports, or ctx has ended.
func Run(ctx context.Context, conn *control.Conn, o Options) (left bool, err error) {
	s := &session{options: o, conn: conn, leave: make(chan struct{})}
	defer func() { err = errors.Join(err, s.restore.Run()) }()
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	shown := make(chan error, 1)
	go func() { shown <- s.show() }()
	select {
	case err := <-shown:
		return false, err
	case <-s.leave:
		return true, nil
	case <-ctx.Done():
		return true, nil
	}
}

// session is one caller at one job.
type session struct {
	options Options
	conn    *control.Conn
	is      job.AttachReply
	restore undo.Stack // the caller's terminal, and what is open
	leave   chan struct{}

	out, err, in *os.File // ours of the sockets
}

// begin asks for the job's streams.
func (s *session) begin(ctx context.Context) error {
	s.restore.Add(s.conn.Close)
	request := job.AttachRequest{Input: s.options.In != nil}
	if size, ok := s.size(); ok {
		request.Size = &size
	}
	var theirs []*os.File
	defer func() { control.CloseAll(theirs) }()
	ends := []**os.File{&s.out, &s.err, &s.in}
	if !request.Input {
		ends = ends[:2]
	}
	for _, end := range ends {
		ours, other, err := pair()
		if err != nil {
			return fmt.Errorf("attaching: %w", err)
		}
		*end, theirs = ours, append(theirs, other)
		s.restore.Add(ours.Close)
	}
	files, err := s.conn.Call(ctx, job.OpAttach, request, &s.is, theirs...)
	control.CloseAll(files)
	if err != nil {
		return fmt.Errorf("attaching: %w", err)
	}
	if err := s.joinTerminal(); err != nil {
		return err
	}
	if s.is.Input {
		go s.typed()
	}
	return nil
}

// pair is two connected sockets, both for Go's poller.
func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "attached"), os.NewFile(uintptr(fds[1]), "job"), nil
}

// show passes on what the job prints, to its end.
func (s *session) show() error {
	var outErr, errErr error
	var both sync.WaitGroup
	both.Go(func() { _, outErr = io.Copy(s.options.Out, s.out) })
	both.Go(func() { _, errErr = io.Copy(s.options.Err, s.err) })
	both.Wait()
	return errors.Join(outErr, errErr)
}

// typed hands on what is typed, until it ends or the keys to leave are typed. It ends with the process: nothing else ends a read from
// a terminal.
func (s *session) typed() {
	buf := make([]byte, 4096)
	keys := s.options.Keys
	if !s.is.TTY {
		keys = detach.Keys{}
	}
	for {
		n, err := s.options.In.Read(buf)
		passed, left := keys.Next(buf[:n])
		if _, err := s.in.Write(passed); err != nil {
			return
		}
		if left {
			close(s.leave)
			return
		}
		if err != nil {
			_ = unix.Shutdown(int(s.in.Fd()), unix.SHUT_WR) // the job reads on: others may attach
			return
		}
	}
}

// joinTerminal makes the caller's terminal the job's, where both have one.
func (s *session) joinTerminal() error {
	if !s.is.TTY || !isTerminal(s.options.In) {
		return nil
	}
	s.follow()
	if !s.is.Input {
		return nil
	}
	state, err := term.MakeRaw(int(s.options.In.Fd()))
	if err != nil {
		return fmt.Errorf("preparing the terminal: %w", err)
	}
	s.restore.Add(func() error { return term.Restore(int(s.options.In.Fd()), state) })
	return nil
}
