package attach

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/terminal"
	"github.com/coracle-run/coracle/internal/undo"
	"github.com/coracle-run/coracle/runtime/container"
)

// Options is how a caller attaches.
type Options struct {
	In       *os.File // nil: nothing is typed
	Out, Err *os.File
	Keys     terminal.Keys // that are typed to leave a job with a terminal
	// Again connects to the next start of a job that has ended. The error is control.ErrOver when there is none. nil: a job is started once.
	Again func(context.Context) (*control.Conn, error)
}

// Run attaches through a connection and returns when the job has ended, the caller has left or ctx has ended, which it reports, or the
// caller cannot be written to. The errors are those of control's Call, and job.ErrNotTerminal.
func Run(ctx context.Context, conn *control.Conn, o Options) (left bool, err error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	broken := make(chan os.Signal, 1) // a reader that is gone is an error of the write, and not the end of this process
	signal.Notify(broken, unix.SIGPIPE)
	defer signal.Stop(broken)
	s := &session{options: o, terminal: terminal.Borrow(o.In), leave: leave}
	defer func() { err = errors.Join(err, s.terminal.Return()) }()
	for ; ; s.again = true {
		err := s.hear(ctx, conn)
		if err == nil && o.Again != nil && ctx.Err() == nil {
			conn, err = o.Again(ctx)
			if err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return true, nil
		}
		return false, err
	}
}

// session is one caller at one job, of which they may hear several starts.
type session struct {
	options  Options
	terminal *terminal.Terminal
	leave    func() // ends all of it
	again    bool   // it is not the first start
	heard    int    // the last start that was
	joining  sync.Once

	mu   sync.Mutex
	conn *control.Conn
	in   *os.File // our end of the job's input; nil: it takes none now
	over bool     // the caller's has ended
}

// hear attaches to one start of the job.
func (s *session) hear(ctx context.Context, conn *control.Conn) (err error) {
	var closing undo.Stack
	defer func() { err = errors.Join(err, closing.Run()) }()
	closing.Add(conn.Close)
	out, errs, err := s.join(ctx, conn, &closing)
	if s.again && (errors.Is(err, job.ErrRests) || errors.Is(err, control.ErrOver)) { // whether it is over shows at the next attempt
		return nil
	}
	if err != nil {
		return err
	}
	shown := make(chan error, 2)
	s.terminal.Guard(func() { shown <- pass(s.options.Out, out) })
	s.terminal.Guard(func() { shown <- pass(s.options.Err, errs) })
	for range 2 {
		select {
		case err := <-shown:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// pass shows what the job prints, to its end.
func pass(to, from *os.File) error {
	buf := make([]byte, 64<<10)
	for more := true; more; {
		n, err := from.Read(buf)
		more = err == nil // whatever ended it, nothing more comes
		if n == 0 {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return fmt.Errorf("passing on the job's output: %w", err)
		}
	}
	return nil
}

// join asks for the job's streams, and makes the caller's terminal the job's before anything is shown: the job's has made "\r\n" of its
// line ends, and the caller's would do so again.
func (s *session) join(ctx context.Context, conn *control.Conn, closing *undo.Stack) (out, errs *os.File, err error) {
	request := job.AttachRequest{Input: s.options.In != nil, Again: s.again, Heard: s.heard}
	if size, ok := terminal.SizeOf(s.options.In, s.options.Out); ok && s.again { // at first Follow tells it
		request.Size = new(container.Size(size))
	}
	var in *os.File
	ends := []**os.File{&out, &errs, &in}
	if !request.Input {
		ends = ends[:2]
	}
	var theirs []*os.File
	defer func() { control.CloseAll(theirs) }()
	for _, end := range ends {
		ours, other, err := pair()
		if err != nil {
			return nil, nil, fmt.Errorf("attaching: %w", err)
		}
		*end, theirs = ours, append(theirs, other)
		closing.Add(ours.Close)
	}
	var is job.AttachReply
	files, err := conn.Call(ctx, job.OpAttach, request, &is, theirs...)
	control.CloseAll(files)
	if err != nil {
		return nil, nil, fmt.Errorf("attaching: %w", job.Remote(err))
	}
	s.heard = is.Start
	if !is.Input {
		in = nil
	}
	s.set(conn, in)
	closing.Add(func() error {
		s.set(nil, nil)
		return nil
	})
	s.joining.Do(func() { err = s.joinTerminal(is) })
	return out, errs, err
}

// pair is two connected sockets, both for Go's poller.
func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "attached"), os.NewFile(uintptr(fds[1]), "job"), nil
}
