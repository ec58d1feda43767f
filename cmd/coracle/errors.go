package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coracle-run/coracle/cmd/coracle/hint"
	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/internal/ui"
)

// failed is the exit status for failures of Coracle itself and for mistakes on its command line, as docker's. A job's own
// status passes through, so scripts can tell them apart.
const failed = 125

// usagef is a mistake on the command line.
func usagef(command, format string, args ...any) error { return line.Usagef(command, format, args...) }

// conclude prints what went wrong and returns the exit status. An error may bring a status of its own, and may be silent: a
// job that ended has said itself what there is to say.
func conclude(p *ui.Printer, err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[interface {
		error
		Silent() bool
	}](err); !ok || !e.Silent() {
		p.Failure(err, hint.Of(err))
	}
	if e, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		return e.ExitCode()
	}
	return failed
}

// interruption is the cause of a context that a signal has ended.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return "interrupted" }

// ExitCode is what a shell shows for a program that a signal ended.
func (i interruption) ExitCode() int { return 128 + int(i.signal) }

// interruptible returns a context that ends with the first signal to stop; the next one has its usual effect, so that a
// person is never without a way out, but not at once: timeout sends its signal to a process and again to its group. The
// caller calls stop. More are signals that end it besides.
func interruptible(parent context.Context, more ...os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	came := make(chan os.Signal, 1)
	for _, s := range append([]os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}, more...) {
		if !signal.Ignored(s) { // as nohup has set it
			signal.Notify(came, s)
		}
	}
	go func() {
		defer signal.Stop(came)
		select {
		case s := <-came:
			if s, ok := s.(syscall.Signal); ok {
				cancel(interruption{s})
			}
			time.Sleep(signals.SameWish)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// interrupted is the signal that has ended a context of interruptible, or nil.
func interrupted(ctx context.Context) error {
	if i, ok := errors.AsType[interruption](context.Cause(ctx)); ok {
		return i
	}
	return nil
}
