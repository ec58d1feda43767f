package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/supervise"
	"github.com/coracle-run/coracle/runtime/container"
)

// OpExec runs a command beside the job. With it go an ExecRequest and the command's three standard streams, or none where it is to
// have a terminal; the reply brings the terminal's master side, unless nobody wants it. Then the caller may send ExecSignals, and gets
// an ExecEnd. A caller who has gone is missed by nobody: the command goes on, as docker's does; one that has lost its terminal gets
// SIGHUP, as everything does that loses its terminal. A caller who leaves gives the terminal back: the command keeps it.
const OpExec = "exec"

// ExecRequest is a further command in a running job's container.
type ExecRequest struct {
	Args     container.Strings `json:"args"`
	Env      container.Strings `json:"env"`                // NAME=VALUE, over the job's
	Dir      string            `json:"dir"`                // "": where the job began
	User     string            `json:"user"`               // "": the job's
	Terminal *container.Size   `json:"terminal,omitempty"` // it is to have one
	Detached bool              `json:"detached"`           // nobody waits for its end
}

// ExecSignal is one for the command, or comes with the terminal of a command that is being left.
type ExecSignal struct {
	Signal int  `json:"signal,omitempty"`
	Leave  bool `json:"leave,omitempty"`
}

// ExecEnd is how the command ended.
type ExecEnd struct {
	Code int `json:"code"` // as a shell would give it
}

// execStreams is how many files come with an ExecRequest without a terminal.
const execStreams = 3

// execEvents is how many commands of a run are on record. There may be one every second, for weeks.
const execEvents = 1000

// execs are the further commands of a job.
type execs struct {
	job *supervise.Supervision
	env []string // the job's
	run atomic.Int64
}

// serve is the operation.
func (e *execs) serve(ctx context.Context, call *control.Call) error {
	var r ExecRequest
	if err := call.Args(&r); err != nil {
		return err
	}
	process, n, err := e.start(ctx, r, call)
	if err != nil {
		return err
	}
	if err := e.answer(r, process, call); err != nil {
		_ = process.Signal(unix.SIGHUP) // nobody has its terminal, or has heard that it runs
	}
	if !r.Detached {
		go forward(call, process)
	}
	exit, err := process.Wait()
	e.event(n, "exec-ended", map[string]any{"exec": n, "exit_code": exit.Code})
	if r.Detached {
		return err
	}
	return errors.Join(err, call.Send(ExecEnd{exit.Code}))
}

// start starts the command. n is its number.
func (e *execs) start(ctx context.Context, r ExecRequest, call *control.Call) (_ *container.Process, n int64, err error) {
	x := container.Exec{Args: r.Args, Env: r.Env, Dir: r.Dir, User: r.User, Terminal: r.Terminal}
	switch {
	case r.Terminal != nil && len(call.Files) == 0:
		x.Env = withTerminal(e.env, x.Env)
	case r.Terminal == nil && len(call.Files) == execStreams:
		x.Stdin, x.Stdout, x.Stderr = call.Files[0], call.Files[1], call.Files[2]
	default:
		return nil, 0, &control.Error{Kind: control.KindRequest, Message: fmt.Sprintf("%d streams", len(call.Files))}
	}
	done, err := e.job.Pause.Moving()
	if err != nil {
		return nil, 0, err
	}
	defer done()
	process, err := e.job.Box.Exec(ctx, x)
	if err != nil {
		return nil, 0, err
	}
	control.CloseAll(call.Files) // else nobody would see an end of file
	n = e.run.Add(1)
	e.event(n, "exec", map[string]any{"exec": n, "argv": []string(r.Args), "user": r.User, "tty": r.Terminal != nil})
	return process, n, nil
}

// withTerminal tells what kind of terminal it is, where nobody has.
func withTerminal(job, own []string) []string {
	if slices.ContainsFunc(slices.Concat(job, own), func(v string) bool { return strings.HasPrefix(v, "TERM=") }) {
		return own
	}
	return append([]string{"TERM=xterm"}, own...)
}

// answer says that the command runs.
func (e *execs) answer(r ExecRequest, process *container.Process, call *control.Call) error {
	console := process.Console()
	if console == nil {
		return call.Reply(nil)
	}
	if r.Detached {
		go drain(console)
		return call.Reply(nil)
	}
	return errors.Join(call.Reply(nil, console), console.Close())
}

// drain reads a terminal that nobody looks at: it would stop what writes to it.
func drain(console *os.File) {
	_, _ = io.Copy(io.Discard, console) // ends with its last user
	_ = console.Close()
}

// forward passes signals on until the caller has gone.
func forward(call *control.Call, process *container.Process) {
	for {
		var s ExecSignal
		files, err := call.Receive(&s)
		if err != nil {
			return
		}
		if s.Leave && len(files) == 1 {
			go drain(files[0])
			continue
		}
		control.CloseAll(files)                   // nobody has asked for any
		_ = process.Signal(unix.Signal(s.Signal)) // one that has ended needs none
	}
}

func (e *execs) event(n int64, kind string, fields map[string]any) {
	if n <= execEvents {
		e.job.Event(kind, fields)
	}
}
