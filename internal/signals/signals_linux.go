// Package signals is about the signals that come to the process which supervises a job: which of them are the job's, when they are, and what
// they are called. Until the job runs, one that asks for its end cancels a context instead; after that they are taken from [Incoming].
package signals

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrImpatient means that somebody did not want to wait any longer.
var ErrImpatient = errors.New("not waited for")

// passed are the signals that reach the job; the first four ask it to end.
var passed = []os.Signal{
	unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT,
	unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGXCPU, unix.SIGCONT,
}

const asking = 4 // of passed

// Passed are the signals to the process that supervises a job that reach the job.
func Passed() []os.Signal { return slices.Clone(passed) }

// Passes reports whether a signal to the process that supervises a job reaches the job.
func Passes(sig syscall.Signal) bool { return slices.Contains(passed, os.Signal(sig)) }

// PassedNames are the signals that do.
func PassedNames() (names []string) {
	for _, sig := range passed {
		if number, ok := sig.(syscall.Signal); ok {
			names = append(names, strings.TrimPrefix(unix.SignalName(number), "SIG"))
		}
	}
	return names
}

// SameWish is how long after a signal another one means the same.
const SameWish = 250 * time.Millisecond

// Incoming takes the process's signals until Stop.
type Incoming struct {
	C     chan os.Signal // those for the job, after HandOver
	Ready chan struct{}  // closed when they are taken: that is a conversation between threads for each of them, and nobody waits for it
	early chan struct{}  // closed when signals are for the job
	quiet chan struct{}  // closed when the early listener has ended
	taken []os.Signal

	kept []arrival // what came before early was closed and asks for nothing; to be looked at once quiet is closed
}

// arrival is a signal with the time at which it came.
type arrival struct {
	signal os.Signal
	at     time.Time
}

// Listen begins to take signals, which they are once Ready is closed; until then they have their usual effect. A signal that whoever
// started us has set to be ignored (nohup) stays ignored, and SIGPIPE is an error of the write that caused it. more are signals that
// this job takes besides; 0 is none.
func Listen(ctx context.Context, more ...syscall.Signal) (*Incoming, context.Context) {
	s := &Incoming{C: make(chan os.Signal, 16), Ready: make(chan struct{}), early: make(chan struct{}), quiet: make(chan struct{})}
	for _, sig := range passed {
		if !signal.Ignored(sig) {
			s.taken = append(s.taken, sig)
		}
	}
	for _, sig := range more {
		if sig != 0 && !signal.Ignored(sig) && !slices.Contains(s.taken, os.Signal(sig)) {
			s.taken = append(s.taken, sig)
		}
	}
	s.taken = append(s.taken, unix.SIGPIPE)
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		defer close(s.quiet)
		s.take()
		close(s.Ready)
		for {
			select {
			case sig := <-s.C:
				if Asks(sig) {
					cancel(InterruptError{Signal: sig})
					s.repeats()
					s.Stop() // another one has its usual effect: who is in a hurry is not held up by a slow registry
					return
				}
				s.kept = append(s.kept[max(0, len(s.kept)-cap(s.C)):], arrival{sig, time.Now()})
			case <-s.early:
				return
			}
		}
	}()
	return s, ctx
}

// repeats takes what belongs to the signal that has just come: timeout and launchers send it to a process and then to its
// group, so that it comes twice. To die of the second would leave the clearing away to others.
func (s *Incoming) repeats() {
	over := time.After(SameWish)
	for {
		select {
		case <-s.C:
		case <-over:
			return
		}
	}
}

// Asks reports whether a signal asks a job to end.
func Asks(sig os.Signal) bool { return slices.Contains(passed[:asking], sig) }

// Handed are those that the job has from its supervisor, one bit each: in place of SIGTERM it has stop. What comes too early to be taken
// comes before there is a job.
func (s *Incoming) Handed(stop syscall.Signal) (set uint64) {
	for _, sig := range s.taken {
		number, ok := sig.(syscall.Signal)
		if ok && number != unix.SIGPIPE && (number != unix.SIGTERM || stop == unix.SIGTERM) {
			set |= 1 << (number - 1)
		}
	}
	return set
}

func (s *Incoming) take() { signal.Notify(s.C, s.taken...) }

// Stop gives signals their usual effect again.
func (s *Incoming) Stop() { signal.Stop(s.C) }

// HandOver turns signals from ending the preparation to reaching the job. It returns those that came in between: since the job
// was started it may have told somebody to send them. What came before was for nobody.
func (s *Incoming) HandOver(ctx context.Context, started time.Time) (late []os.Signal) {
	close(s.early)
	<-s.quiet
	for _, a := range s.kept {
		if a.at.After(started) {
			late = append(late, a.signal)
		}
	}
	if stop := (InterruptError{}); errors.As(context.Cause(ctx), &stop) {
		s.take()
		late = append(late, stop.Signal)
	}
	return late
}

// Await waits for what follows the job, the last of its output reaching its reader, and gives its error. It does not wait for ever: a
// signal that asks for the end ends the wait, and so does patience, of which 0 is without end. The error wraps ErrImpatient then.
func (s *Incoming) Await(done <-chan error, patience time.Duration) error {
	var over <-chan time.Time
	if patience > 0 {
		over = time.After(patience)
	}
	for {
		select {
		case err := <-done:
			return err
		case <-over:
			return ErrImpatient
		case sig := <-s.C:
			if Asks(sig) {
				return ErrImpatient
			}
		}
	}
}

// InterruptError is the cause of a context that a signal cancelled before the job began.
type InterruptError struct{ Signal os.Signal }

func (i InterruptError) Error() string { return "interrupted by " + i.Name() }

// Name is the signal's.
func (i InterruptError) Name() string {
	if s, ok := i.Signal.(syscall.Signal); ok {
		return Name(s)
	}
	return i.Signal.String()
}

// Status is the status of a process that a signal has ended, as a shell gives it.
func (i InterruptError) Status() int {
	number, _ := i.Signal.(syscall.Signal) // as every signal of this system is
	return 128 + int(number)
}
