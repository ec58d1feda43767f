package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/undo"
)

// Exec describes a further process in a running container. Exactly one of Terminal and the three streams is set.
type Exec struct {
	Args []string
	Env  []string // NAME=VALUE, over the job's environment
	Dir  string   // "": where the job began
	User string   // as in Config; "": the job's. Another one shares the job's rights, and cannot trace it

	Stdin, Stdout, Stderr *os.File // Exec does not close them
	Terminal              *Size    // a pseudo-terminal of this size instead
}

// Process is a further process in a container, from the return of Exec to that of Wait.
type Process struct {
	box     *Container
	socket  *os.File
	replies *json.Decoder
	console *os.File

	started time.Time
	ended   chan struct{} // closed when exit is set
	exit    Exit
}

// further keeps account of the further processes of a container.
type further struct {
	socket *os.File // requests
	wait   sync.WaitGroup
	any    atomic.Bool // there has been one

	mu   sync.Mutex
	used Usage // of those that have ended
}

// Exec runs a program beside the job, as what the job is: with its namespaces, identity, capabilities, filter and environment. It
// returns when the program has begun. It ends when the job does. ErrEnded says that the job has; of the errors of Start there are
// those about the command and the user, and ErrExec for everything else. Cancelling ctx before it returns ends the attempt;
// afterwards it has no effect.
func (b *Container) Exec(ctx context.Context, e Exec) (_ *Process, err error) {
	if len(e.Args) == 0 {
		return nil, fmt.Errorf("%w: no command", ErrExec)
	}
	if b.shared != nil {
		return nil, fmt.Errorf("%w: it shares its container with other ranks, which no further process can enter", ErrExec)
	}
	select {
	case <-b.ended:
		return nil, ErrEnded
	default:
	}
	var cleanup undo.Stack
	defer func() {
		if err != nil {
			err = errors.Join(err, cleanup.Run())
		}
	}()
	p := &Process{box: b, ended: make(chan struct{})}
	consoles, err := p.connect(e)
	if err != nil {
		return nil, err
	}
	cleanup.Add(p.socket.Close) // ends the process, too
	if consoles != nil {
		defer consoles.Close()
	}
	if err := p.begin(ctx, e); err != nil {
		return nil, err
	}
	if consoles != nil {
		if p.console, err = receiveConsole(consoles); err != nil {
			return nil, fmt.Errorf("%w: receiving its terminal: %w", ErrExec, err)
		}
	}
	p.started = time.Now()
	b.further.any.Store(true)
	b.further.wait.Add(1)
	go p.listen()
	return p, nil
}

// connect asks the keeper for the process. The socket that it returns will bring the terminal; nil: there is none.
func (p *Process) connect(e Exec) (consoles *os.File, err error) {
	text, err := json.Marshal(ExecRequest{Args: e.Args, Env: e.Env, Dir: e.Dir, User: e.User, Job: p.box.pid, Terminal: e.Terminal})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExec, err)
	}
	request, err := sys.Memfd("exec", text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExec, err)
	}
	defer request.Close()
	socket, peer, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExec, err)
	}
	defer peer.Close()
	files := []*os.File{request, peer, e.Stdin, e.Stdout, e.Stderr}
	if e.Terminal != nil {
		var consolePeer *os.File
		if consoles, consolePeer, err = socketPair(unix.SOCK_STREAM); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrExec, err), socket.Close())
		}
		defer consolePeer.Close()
		files = []*os.File{request, peer, consolePeer}
	}
	if err := SendFiles(p.box.further.socket, files); err != nil {
		err = errors.Join(gone(err), socket.Close())
		if consoles != nil {
			err = errors.Join(err, consoles.Close())
		}
		return nil, err
	}
	p.socket, p.replies = socket, json.NewDecoder(socket)
	return consoles, nil
}

// begin waits for the keeper's answer.
func (p *Process) begin(ctx context.Context, e Exec) error {
	stop := context.AfterFunc(ctx, func() { _ = p.socket.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var reply ExecReply
	err := p.replies.Decode(&reply)
	if !stop() {
		return fmt.Errorf("%w: %w", ErrExec, context.Cause(ctx))
	}
	if err != nil {
		return gone(err)
	}
	return reply.failure(e)
}

// gone is the error for a keeper that no longer answers.
func gone(err error) error {
	if err = ended(err); errors.Is(err, ErrEnded) {
		return ErrEnded
	}
	return fmt.Errorf("%w: %w", ErrExec, err)
}

// failure is the error that a first reply reports.
func (r ExecReply) failure(e Exec) error {
	errno := syscall.Errno(r.Errno)
	switch {
	case r.Started:
		return nil
	case r.Fault == FaultUser:
		return fmt.Errorf("%w: %s", ErrUser, r.Failed)
	case r.Failed != "":
		return fmt.Errorf("%w: %s", ErrExec, r.Failed)
	case r.Stage == StageExec:
		return commandError(e.Args[0], errno)
	case r.Stage == StageDirectory:
		return fmt.Errorf("%w: entering its directory %s: %w", ErrExec, e.Dir, errno)
	case r.Stage == StageUser:
		return fmt.Errorf("%w: taking its identity: %w", ErrUser, errno)
	}
	return fmt.Errorf("%w: %s: %w", ErrExec, stageNames[r.Stage], errno)
}

// listen waits for the end of the process.
func (p *Process) listen() {
	defer p.box.further.wait.Done()
	defer close(p.ended)
	var reply ExecReply
	if err := p.replies.Decode(&reply); err != nil || !reply.Ended {
		reply = ExecReply{Status: int(unix.SIGKILL)} // the keeper is gone, and all processes with it
	}
	p.box.further.mu.Lock()
	p.box.further.used = p.box.further.used.plus(reply.Usage)
	p.box.further.mu.Unlock()
	p.exit = exitOf(syscall.WaitStatus(reply.Status), time.Since(p.started), reply.Usage)
}

// Console is the master side of the process's terminal; nil when it has none. The caller closes it.
func (p *Process) Console() *os.File { return p.console }

// Signal delivers a signal to the process, as Container.Signal does to the job; SIGKILL ends this process alone. One that has ended
// takes no signals and gives no error.
func (p *Process) Signal(signal unix.Signal) error {
	if err := json.NewEncoder(p.socket).Encode(ExecSignal{Signal: int(signal)}); err != nil && !errors.Is(gone(err), ErrEnded) && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Wait waits for the end of the process and says how it was. One that the end of the job has taken along was killed.
func (p *Process) Wait() (Exit, error) {
	<-p.ended
	return p.exit, p.socket.Close()
}

// usedFurther is what the further processes of a container that has ended have used. Those that are left end with the keeper.
func (b *Container) usedFurther() Usage {
	if !b.further.any.Load() {
		return Usage{}
	}
	b.Over()
	return b.further.used
}

// plus is what two sets of processes used.
func (u Usage) plus(other Usage) Usage {
	return Usage{
		UserSeconds:   u.UserSeconds + other.UserSeconds,
		SystemSeconds: u.SystemSeconds + other.SystemSeconds,
		MaxRSS:        max(u.MaxRSS, other.MaxRSS),
	}
}
