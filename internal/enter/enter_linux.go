package enter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/terminal"
	"github.com/coracle-run/coracle/runtime/container"
)

// Command is what is to run.
type Command struct {
	Args []string
	Env  []string // NAME=VALUE, over the job's
	Dir  string   // "": where the job began
	User string   // "": the job's

	Interactive bool          // it reads the caller's standard input
	Keys        terminal.Keys // that are typed to leave a command that reads and has a terminal
	Terminal    bool          // it gets a terminal
	Detached    bool          // nobody waits for it, and its output is nowhere
}

// Streams are the caller's.
type Streams struct{ In, Out, Err *os.File }

// ErrLeft is the end of a session that the caller has left by the keys for that. The command goes on.
var ErrLeft = errors.New("the command goes on")

// Run runs a command in a running job, and returns its status: 128+N when signal N ended it. Signals to this process that end it or
// mean something to programs reach the command instead. With an error, a status other than 0 is the command's all the same. The errors
// are those of job.Dial, job.ErrNotTerminal, ErrLeft, and container.ErrNotFound and its like.
func Run(ctx context.Context, v record.View, c Command, caller Streams) (code int, err error) {
	if c.Terminal && c.Interactive && !c.Detached && !terminal.Is(caller.In) {
		return 0, fmt.Errorf("%w: leave out -t, or -i", job.ErrNotTerminal)
	}
	conn, err := job.Dial(ctx, v)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	s := &session{conn: conn, command: c, caller: caller, terminal: terminal.Borrow(caller.In), signals: make(chan os.Signal, 16), left: make(chan struct{})}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(); err != nil {
		return 0, err
	}
	s.listen()
	if err := s.ask(ctx); err != nil {
		return 0, err
	}
	if c.Detached {
		return 0, nil
	}
	return s.await()
}

// session is one command, from the asking to its end.
type session struct {
	conn    *control.Conn
	command Command
	caller  Streams
	signals chan os.Signal

	terminal *terminal.Terminal // the caller's
	console  *os.File           // the command's; nil: it has none
	left     chan struct{}      // closed when the keys have been typed

	theirs  []*os.File // for the command
	outputs []*output  // of it
}

// forwarded are the signals that are the command's. What stops a terminal's programs (SIGTSTP) stops this one alone.
var forwarded = []os.Signal{
	unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGXCPU,
}

// listen begins to take signals. One that whoever started us has set to be ignored (nohup) stays ignored.
func (s *session) listen() {
	if s.command.Detached {
		return
	}
	for _, sig := range forwarded {
		if !signal.Ignored(sig) {
			signal.Notify(s.signals, sig)
		}
	}
	if s.command.Terminal { // that has to be put in order: a reader that is gone is an error of the write, and not the end of this process
		signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	}
}

// interruptedError ends a session before its command has begun.
type interruptedError struct{ signal syscall.Signal }

func (e interruptedError) Error() string { return "interrupted" }

// ExitCode is what a shell shows for a program that a signal ended.
func (e interruptedError) ExitCode() int { return 128 + int(e.signal) }

// askPatience is how long after a signal a command may take to start, to get it: it may have begun already. Then nobody waits any longer.
const askPatience = 2 * time.Second

// ask has the command started, or is ended by a signal.
func (s *session) ask(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type outcome struct {
		files []*os.File
		err   error
	}
	done := make(chan outcome, 1)
	request := job.ExecRequest{Args: s.command.Args, Env: s.command.Env, Dir: s.command.Dir, User: s.command.User, Detached: s.command.Detached}
	if s.command.Terminal {
		request.Terminal = new(s.size())
	}
	go func() {
		files, err := s.conn.Call(ctx, job.OpExec, request, nil, s.theirs...)
		done <- outcome{files, err}
	}()
	o, early := outcome{}, []os.Signal{}
	var patience <-chan time.Time
	for waiting := true; waiting; {
		select {
		case o = <-done:
			waiting = false
		case sig := <-s.signals:
			early = append(early, sig)
			if patience == nil {
				patience = time.After(askPatience)
			}
		case <-patience:
			number, _ := early[0].(syscall.Signal)
			cancel(interruptedError{number})
			patience = nil
		}
	}
	control.CloseAll(s.theirs) // so that the end of the command is the end of its output
	if o.err != nil {
		return job.Remote(o.err)
	}
	for _, sig := range early { // it may have told somebody to send them
		s.send(sig)
	}
	if !s.command.Terminal || s.command.Detached {
		control.CloseAll(o.files)
		return nil
	}
	if len(o.files) != 1 {
		control.CloseAll(o.files)
		return errors.New("the run's supervisor has sent no terminal")
	}
	return s.join(o.files[0])
}

// await passes signals on until the command has ended, and takes the rest of its output.
func (s *session) await() (int, error) {
	ended := make(chan struct{})
	var end job.ExecEnd
	var err error
	go func() {
		defer close(ended)
		_, err = s.conn.Receive(&end)
	}()
	for {
		select {
		case sig := <-s.signals:
			s.send(sig)
		case <-s.left:
			return 0, s.part()
		case <-ended:
			return s.outcome(end, err)
		}
	}
}

// send passes a signal on.
func (s *session) send(sig os.Signal) {
	if number, ok := sig.(syscall.Signal); ok {
		_ = s.conn.Send(job.ExecSignal{Signal: int(number)}) // one that has ended needs none
	}
}

// outcome is how the command ended, once all that it wrote has been passed on. One of which nobody says how has gone with the run.
func (s *session) outcome(end job.ExecEnd, lost error) (int, error) {
	var errs []error
	for _, o := range s.outputs {
		errs = append(errs, o.finish())
	}
	if lost != nil {
		return 128 + int(unix.SIGKILL), errors.Join(append(errs, fmt.Errorf("%w: its supervisor was killed, and the command with it", control.ErrOver))...)
	}
	return end.Code, errors.Join(errs...)
}

// close lets go of everything, and puts the caller's terminal in order.
func (s *session) close() error {
	signal.Stop(s.signals)
	control.CloseAll(s.theirs)
	return s.terminal.Return()
}

// size is that of the caller's terminal, or docker's where there is none.
func (s *session) size() container.Size {
	if size, ok := terminal.SizeOf(s.caller.In, s.caller.Out, s.caller.Err); ok {
		return container.Size(size)
	}
	return container.Size{Rows: 24, Cols: 80}
}
