package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/container"
)

var (
	// ErrVolume marks a volume whose source is not there or cannot be used.
	ErrVolume = errors.New("volume cannot be mounted")
	// ErrDevice marks a device that is not there or cannot be used.
	ErrDevice = errors.New("device cannot be used")
	// ErrMPI marks a way for parallel programs that the launcher does not offer, or that the job cannot use.
	ErrMPI = errors.New("no such MPI here")
	// ErrSecret marks a secret whose source is not there or cannot be used.
	ErrSecret = errors.New("secret cannot be read")
	// ErrNotStored marks an image that is not in the store and must not be pulled.
	ErrNotStored = errors.New("image is not stored here")
	// ErrNotTerminal marks -i and -t together without a terminal to read from.
	ErrNotTerminal = errors.New("standard input is not a terminal")
	// ErrNameTaken marks a name that a running job has.
	ErrNameTaken = errors.New("name is in use")
	// ErrShare marks a rank that cannot share the container of the others.
	ErrShare = errors.New("container cannot be shared")
	// ErrLimit marks a limit that cannot be enforced, or with which the job cannot start.
	ErrLimit = errors.New("limit")
)

// errNotRead means that a reader of the job's output stopped reading; what it has not read is in the log of the record, as
// far as the job could write it.
var errNotRead = errors.New("nobody reads the rest of the job's output")

// Exit codes of `coracle run` that are not the job's own, as docker has them.
const (
	codeFailure       = 125
	codeNotExecutable = 126
	codeNotFound      = 127
)

// ExitError is how a run ends otherwise than with status 0. Err is nil when the job itself gave the status: then there is
// nothing to explain.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("the job ended with status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// OrNil is the error, or nil for status 0.
func (e *ExitError) OrNil() error {
	if e.Code == 0 && e.Err == nil {
		return nil
	}
	return e
}

// ExitCode is the status for the shell.
func (e *ExitError) ExitCode() int { return e.Code }

// Silent reports whether the status says everything.
func (e *ExitError) Silent() bool { return e.Err == nil }

// LimitError is a job that must not run, because it cannot be held to what was asked for.
type LimitError struct {
	Text   string // what is missing, and why
	Advice string // what would help, or ""
}

func (e *LimitError) Error() string { return "--require-limits: not enforced: " + e.Text }

// Unwrap tells what it is.
func (e *LimitError) Unwrap() error { return ErrLimit }

// Hint says what would help.
func (e *LimitError) Hint() string { return e.Advice }

// interruption is the cause of a context that a signal cancelled before the job began.
type interruption struct{ signal os.Signal }

func (i interruption) Error() string { return "interrupted by " + i.name() }

func (i interruption) name() string {
	if s, ok := i.signal.(syscall.Signal); ok {
		return unix.SignalName(s)
	}
	return i.signal.String()
}

func (i interruption) code() int {
	if s, ok := i.signal.(syscall.Signal); ok {
		return 128 + int(s)
	}
	return codeFailure
}

// failure is what is known of a run whose job never began.
func failure(ctx context.Context, err error, stage record.Cause) (int, record.Cause, error) {
	if stop := (interruption{}); errors.As(context.Cause(ctx), &stop) {
		return stop.code(), record.Stopped, stop
	}
	switch {
	case errors.Is(err, container.ErrNotFound):
		return codeNotFound, record.NotFound, err
	case errors.Is(err, container.ErrNotExecutable):
		return codeNotExecutable, record.NotExecutable, err
	case errors.Is(err, container.ErrUser):
		return codeFailure, record.ImageFailure, err
	default:
		return codeFailure, stage, err
	}
}
