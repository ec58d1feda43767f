package job

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/terminal"
	"github.com/coracle-run/coracle/runtime/container"
)

// OpAttach joins a command's streams to those of the job. Its files are the command's ends of its output, of its errors and, with Input,
// of what is typed: sockets of its own. Both sides end the conversation.
const OpAttach = "attach"

// AttachRequest is how somebody attaches.
type AttachRequest struct {
	Input bool            `json:"input,omitempty"` // there is some
	Again bool            `json:"again,omitempty"` // they have heard an earlier start of the job, and wait for the next
	Heard int             `json:"heard,omitempty"` // with Again: which, as the reply had it
	Size  *container.Size `json:"size,omitempty"`  // of their terminal
}

// AttachReply is what they have attached to.
type AttachReply struct {
	TTY   bool `json:"tty,omitempty"`   // the job's output is that of a terminal
	Input bool `json:"input,omitempty"` // it reads what is typed
	Start int  `json:"start,omitempty"` // of the job, from 1
}

// AttachSize tells that their terminal has another size now.
type AttachSize struct {
	Size container.Size `json:"size"`
}

var errAttachFiles = errors.New("attaching takes a stream for the output, one for errors, and one of input where there is some")

// joint is where those who attach reach a job's own streams.
type joint struct {
	others audience
	keys   terminal.Keys // by which the caller of a run with -it leaves it
	leave  func()        // then; nil: the caller cannot

	mu       sync.Mutex
	input    *os.File     // what the job reads; nil: nothing of theirs
	over     bool         // the caller's input has ended: that of a job without a terminal is at its end
	terminal *os.File     // the job's; nil: it has none
	restore  func() error // gives the caller their terminal back, if it is the job's

	typing sync.Once // the caller is heard from the first start of the job on

	hearing sync.Once   // others are heard from the first who types on
	typed   chan []byte // by them
}

// set is called each time that a job begins.
func (j *joint) set(input, console *os.File) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.input, j.terminal = input, console
	j.shut()
}

// end is the end of the caller's input, for this job and for those that are started after it.
func (j *joint) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = true
	j.shut()
}

// shut closes the input of a job for which there is no more.
func (j *joint) shut() {
	if j.over && j.input != nil && j.terminal == nil {
		_ = j.input.Close()
		j.input = nil
	}
}

func (j *joint) get() (input, console *os.File) {
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

// part gives the caller back their terminal, as far as it can be had, and lets go of them.
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

// take has the job read what somebody has typed who has attached, and returns when it is on its way, or they have gone: a job that does
// not read keeps nobody.
func (j *joint) take(text []byte, gone <-chan struct{}) error {
	j.hearing.Do(func() {
		j.typed = make(chan []byte)
		go func() { // ends with the process: nothing else ends a write to a job that does not read
			for text := range j.typed {
				_, _ = j.Write(text) // to a job that has ended, perhaps
			}
		}()
	})
	select {
	case j.typed <- text:
		return nil
	case <-gone:
		return io.ErrClosedPipe
	}
}

// hear begins to take what somebody types who has attached. The function that it returns ends that, once they have left: what they had
// typed is the job's, if that takes it soon, and is not ending.
func (j *joint) hear(ctx context.Context, from io.Reader) (end func()) {
	gone, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(typist{j, gone}, from)
	}()
	return func() {
		defer close(gone)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-heard:
		case <-ctx.Done():
		case <-time.After(lastWords):
		}
	}
}

// typist is somebody who types.
type typist struct {
	joint *joint
	gone  <-chan struct{}
}

func (t typist) Write(text []byte) (int, error) {
	return len(text), t.joint.take(slices.Clone(text), t.gone)
}

// resize gives the job's terminal another size. The same size as before is told to the job as well: who has just attached wants to see
// what is on the screen.
func (j *joint) resize(size terminal.Size) {
	_, console := j.get()
	if console == nil || size.Rows == 0 || size.Cols == 0 {
		return
	}
	if was, ok := terminal.SizeOf(console); ok && was == size {
		terminal.Resize(console, terminal.Size{Rows: size.Rows + 1, Cols: size.Cols})
	}
	terminal.Resize(console, size)
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
	start, ok := a.joint.others.add(listener, r.Heard)
	if !ok {
		if r.Again { // the next start is another server's
			<-ctx.Done()
		}
		return control.ErrOver
	}
	defer a.joint.others.remove(listener)
	input, console := a.joint.get()
	if err := call.Reply(AttachReply{TTY: console != nil, Input: r.Input && input != nil, Start: start}); err != nil {
		return err
	}
	if r.Input && input != nil {
		defer a.joint.hear(ctx, call.Files[2])()
	}
	if r.Size != nil {
		a.joint.resize(terminal.Size(*r.Size))
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
		a.joint.resize(terminal.Size(to.Size))
	}
}
