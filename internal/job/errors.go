package job

import (
	"context"
	"errors"
	"fmt"

	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/device"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/runtime/container"
)

var (
	// ErrVolume marks a volume whose source is not there or cannot be used.
	ErrVolume = errors.New("volume cannot be mounted")
	// ErrNotTerminal marks -i and -t together without a terminal to read from.
	ErrNotTerminal = errors.New("standard input is not a terminal")
	// ErrNameTaken marks a name that a running job has.
	ErrNameTaken = errors.New("name is in use")
	// ErrShare marks a rank that cannot share the container of the others.
	ErrShare = errors.New("container cannot be shared")
	// ErrRests marks a job that has ended and waits for its next start.
	ErrRests = errors.New("the job has ended and waits for its next start")
)

// errNotRead means that a reader of the job's output stopped reading; what it has not read is in the log of the record, as
// far as the job could write it.
var errNotRead = errors.New("nobody reads the rest of the job's output")

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

// stage is what has failed before there was a container.
func stage(err error) record.Cause {
	if _, ok := errors.AsType[device.Error](err); ok {
		return record.StartFailure
	}
	return record.ImageFailure
}

// failure is what is known of a run whose job never began.
func failure(ctx context.Context, err error, stage record.Cause) (int, record.Cause, error) {
	if stop := (signals.InterruptError{}); errors.As(context.Cause(ctx), &stop) {
		return stop.Status(), record.Stopped, stop
	}
	switch {
	case errors.Is(err, container.ErrNotFound):
		return cause.StatusNotFound, record.NotFound, err
	case errors.Is(err, container.ErrNotExecutable):
		return cause.StatusNotExecutable, record.NotExecutable, err
	case errors.Is(err, container.ErrUser):
		return cause.StatusFailure, record.ImageFailure, err
	default:
		return cause.StatusFailure, stage, err
	}
}
