package idmap

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
)

// Remove removes trees with files of subordinate ids.
func Remove(ctx context.Context, ids host.IDMap, paths ...string) error {
	return work(ctx, ids, func(to *json.Encoder) error { return to.Encode(order{Remove: paths}) })
}

// Own gives entries of the tree dir, which the caller has made, to whom they name. It stops at the first that fails.
func Own(ctx context.Context, ids host.IDMap, dir string, entries iter.Seq2[Entry, error]) error {
	return work(ctx, ids, func(to *json.Encoder) error {
		if err := to.Encode(order{Own: dir}); err != nil {
			return err
		}
		for e, err := range entries {
			if err == nil {
				err = to.Encode(e)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// work has a worker do what tell orders.
func work(ctx context.Context, ids host.IDMap, tell func(*json.Encoder) error) (err error) {
	// The kernel ends the worker with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{WorkerArg}
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}
	gate, err := NewGate(cmd, ids)
	if err != nil {
		return err
	}
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return errors.Join(err, gate.Close())
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("%w: making a user namespace: %w", ErrMap, err), gate.Close())
	}
	err = gate.Open(cmd.Process.Pid)
	if closeErr := gate.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = exchange(in, out, tell)
	}
	waitErr := cmd.Wait() // closes the pipes
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && waitErr != nil:
		return fmt.Errorf("the process with the subordinate ids has died: %w", waitErr)
	}
	return err
}

// exchange sends an order and reads the answer. Of a worker that stopped listening, the answer says why.
func exchange(in io.WriteCloser, out io.Reader, tell func(*json.Encoder) error) error {
	buffered := bufio.NewWriterSize(in, 64<<10)
	told := tell(json.NewEncoder(buffered))
	if told == nil {
		told = buffered.Flush()
	}
	told = errors.Join(told, in.Close())
	var a answer
	heard := json.NewDecoder(out).Decode(&a)
	switch {
	case heard != nil:
		return errors.Join(told, fmt.Errorf("hearing from the process with the subordinate ids: %w", heard))
	case a.Errno != 0:
		return &workError{text: a.Failed, errno: unix.Errno(a.Errno)}
	case a.Failed != "":
		return errors.New(a.Failed)
	}
	return told
}

// workError is what a worker failed with.
type workError struct {
	text  string
	errno unix.Errno
}

func (e *workError) Error() string { return e.text }
func (e *workError) Unwrap() error { return e.errno }
