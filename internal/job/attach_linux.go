package job

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/detach"
	"github.com/coracle-run/coracle/runtime/container"
)

// OpAttach joins a command's streams to those of the job. Its files are the command's ends of its output, of its errors and, with Input,
// of what is typed: sockets of its own. Both sides end the conversation.
const OpAttach = "attach"

// AttachRequest is how somebody attaches.
type AttachRequest struct {
	Input bool            `json:"input,omitempty"` // there is some
	Size  *container.Size `json:"size,omitempty"`  // of their terminal
}

// AttachReply is what they have attached to.
type AttachReply struct {
	TTY   bool `json:"tty,omitempty"`   // the job's output is that of a terminal
	Input bool `json:"input,omitempty"` // it reads what is typed
}

// AttachSize tells that their terminal has another size now.
type AttachSize struct {
	Size container.Size `json:"size"`
}

var errAttachFiles = errors.New("attaching takes a stream for the output, one for errors, and one of input where there is some")

// joint is where those who attach reach a job's own streams.
type joint struct {
	others audience
	keys   detach.Keys // by which the caller of a run with -it leaves it
	leave  func()      // then; nil: the caller cannot

	mu       sync.Mutex
	input    *os.File     // what the job reads; nil: nothing of theirs
	terminal *os.File     // the job's; nil: it has none
	restore  func() error // gives the caller his terminal back, if it is the job's

	typing sync.Once // the caller is heard from the first start of the job on
}

// set is called each time that a job begins.
func (j *joint) set(input, terminal *os.File) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.input, j.terminal = input, terminal
}

func (j *joint) get() (input, terminal *os.File) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.input, j.terminal
}

// joined notes how the caller's terminal is given back.
func (j *joint) joined(restore func() error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.restore = restore
}

// part gives the caller back his terminal, as far as it can be had, and lets go of him.
func (j *joint) part() {
	j.mu.Lock()
	restore := j.restore
	j.mu.Unlock()
	if restore != nil {
		_ = restore()
	}
	j.leave()
}

// Write has the job read something. What it has no ear for is dropped.
func (j *joint) Write(text []byte) (int, error) {
	input, _ := j.get()
	if input == nil {
		return len(text), nil
	}
	return input.Write(text)
}

// resize gives the job's terminal another size. The same size as before is told to the job as well: who has just attached wants to see
// what is on the screen.
func (j *joint) resize(size container.Size) {
	_, terminal := j.get()
	if terminal == nil || size.Rows == 0 || size.Cols == 0 {
		return
	}
	raw, err := terminal.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // cosmetic
		was, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
		if err == nil && was.Row == size.Rows && was.Col == size.Cols {
			_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows + 1, Col: size.Cols})
		}
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	})
}

// attach is OpAttach.
func (a *attempt) attach(ctx context.Context, call *control.Call) error {
	var r AttachRequest
	if err := call.Args(&r); err != nil {
		return err
	}
	want := 2
	if r.Input {
		want++
	}
	if len(call.Files) != want {
		return errAttachFiles
	}
	listener := newAttached(call.Files[0], call.Files[1])
	if !a.joint.others.add(listener) {
		return control.ErrOver
	}
	defer a.joint.others.remove(listener)
	input, terminal := a.joint.get()
	if err := call.Reply(AttachReply{TTY: terminal != nil, Input: r.Input && input != nil}); err != nil {
		return err
	}
	if r.Input && input != nil {
		go func() { _, _ = io.Copy(&a.joint, call.Files[2]) }() // ends with the conversation
	}
	if r.Size != nil {
		a.joint.resize(*r.Size)
	}
	defer context.AfterFunc(ctx, func() { // the job has ended, and they are to have the rest of its output
		<-listener.passed
		_ = call.Close()
	})()
	for {
		var to AttachSize
		if _, err := call.Receive(&to); err != nil {
			return nil // they have left, or have been left
		}
		a.joint.resize(to.Size)
	}
}
