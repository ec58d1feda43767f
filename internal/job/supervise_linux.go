package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

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

// killGrace is how long a container may take to end after SIGKILL before it is ended from outside.
const killGrace = 2 * time.Second

// SameWish is how long after a signal another one means the same.
const SameWish = 250 * time.Millisecond

// signals takes the process's signals from now until stop. Before the job runs they cancel a context.
type signals struct {
	incoming chan os.Signal
	taking   chan struct{} // closed when they are taken: that is a conversation between threads for each of them, and nobody waits for it
	early    chan struct{} // closed when signals are for the job
	quiet    chan struct{} // closed when the early listener has ended
	taken    []os.Signal

	kept []arrival // what came before early was closed and asks for nothing; to be looked at once quiet is closed
}

// arrival is a signal with the time at which it came.
type arrival struct {
	signal os.Signal
	at     time.Time
}

// listen begins to take signals, which they are once taking is closed; until then they have their usual effect. A signal that whoever
// started us has set to be ignored (nohup) stays ignored, and SIGPIPE is an error of the write that caused it. More are signals that this job is to have besides; 0 is none.
func listen(ctx context.Context, more ...syscall.Signal) (*signals, context.Context) {
	s := &signals{incoming: make(chan os.Signal, 16), taking: make(chan struct{}), early: make(chan struct{}), quiet: make(chan struct{})}
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
		close(s.taking)
		for {
			select {
			case sig := <-s.incoming:
				if asks(sig) {
					cancel(interruption{sig})
					s.repeats()
					s.stop() // another one has its usual effect: who is in a hurry is not held up by a slow registry
					return
				}
				s.kept = append(s.kept[max(0, len(s.kept)-cap(s.incoming)):], arrival{sig, time.Now()})
			case <-s.early:
				return
			}
		}
	}()
	return s, ctx
}

// repeats takes what belongs to the signal that has just come: timeout and launchers send it to a process and then to its
// group, so that it comes twice. To die of the second would leave the clearing away to others.
func (s *signals) repeats() {
	over := time.After(SameWish)
	for {
		select {
		case <-s.incoming:
		case <-over:
			return
		}
	}
}

// asks reports whether a signal asks a job to end.
func asks(sig os.Signal) bool { return slices.Contains(passed[:asking], sig) }

// handed are those that the job has from its supervisor, one bit each: in place of SIGTERM it has stop. What comes too early to be taken
// comes before there is a job.
func (s *signals) handed(stop syscall.Signal) (set uint64) {
	for _, sig := range s.taken {
		number, ok := sig.(syscall.Signal)
		if ok && number != unix.SIGPIPE && (number != unix.SIGTERM || stop == unix.SIGTERM) {
			set |= 1 << (number - 1)
		}
	}
	return set
}

func (s *signals) take() { signal.Notify(s.incoming, s.taken...) }
func (s *signals) stop() { signal.Stop(s.incoming) }

// handOver turns signals from ending the preparation to reaching the job. It returns those that came in between: since the job
// was started it may have told somebody to send them. What came before was for nobody.
func (s *signals) handOver(ctx context.Context, started time.Time) (late []os.Signal) {
	close(s.early)
	<-s.quiet
	for _, a := range s.kept {
		if a.at.After(started) {
			late = append(late, a.signal)
		}
	}
	if stop := (interruption{}); errors.As(context.Cause(ctx), &stop) {
		s.take()
		late = append(late, stop.signal)
	}
	return late
}

// await waits for what follows the job, the last of its output reaching its reader, but not for ever: a job that was asked to
// end has its reader wait killGrace at most, and a signal that comes now ends the wait.
func (s *signals) await(done <-chan error, asked bool) error {
	var patience <-chan time.Time
	if asked {
		patience = time.After(killGrace)
	}
	for {
		select {
		case err := <-done:
			return err
		case <-patience:
			return errNotRead
		case sig := <-s.incoming:
			if asks(sig) {
				return errNotRead
			}
		}
	}
}

// supervision is a running job with its supervisor's view of it.
type supervision struct {
	box     *container.Container
	writer  *record.Writer
	notice  func(string)
	pause   *pause
	timeout time.Duration
	stop    syscall.Signal // delivered in place of SIGTERM
	asked   os.Signal      // the signal that first asked the job to end
	limit   time.Duration  // of the job's time; 0: none
	since   time.Time      // from when on that counts: its first start
	expired bool           // it was reached

	save       syscall.Signal // by which the job is asked to save its work; 0: it is not
	saveBefore time.Duration  // the end of its time
	saving     *saving        // it has been asked
}

// tellRoot says what it costs that there is no overlay.
func (s *supervision) tellRoot(made rootfs.Made) {
	switch {
	case made.Way == rootfs.Overlay:
		return
	case made.Again:
		made.Why = "the run that made its writable layer had none"
		if made.Way == rootfs.Fuse {
			s.notice("fuse-overlayfs shows the image's files, which is slower than an overlay: " + made.Why)
		}
	case made.Way == rootfs.Fuse:
		s.notice("the kernel has no overlay for this run (" + made.Why + "): fuse-overlayfs shows the image's files, which is slower")
	case made.Way == rootfs.Copy:
		s.notice(fmt.Sprintf("the kernel has no overlay for this run: the image's files were copied, %s in %.1f s, into the run's writable layer (%s)",
			units.BytesSize(float64(made.Bytes)), made.Seconds, made.Why))
	default:
		return
	}
	s.event("root", map[string]any{"way": made.Way, "why": made.Why, "bytes": made.Bytes, "seconds": made.Seconds})
}

// run passes signals on until the job has ended. A job that was asked to end and does not is killed when its time is up; one that is
// asked to save its work first has that time for it, and is asked to end then. end is when the batch job ends; nil: nobody says.
func (s *supervision) run(incoming <-chan os.Signal, late []os.Signal, end *time.Time) {
	var deadline, saved, final <-chan time.Time
	deliver := func(sig os.Signal) {
		told := asks(sig) && s.toldHowLong()
		switch {
		case s.askedToSave(sig):
			saved = time.After(s.timeout)
		case saved != nil && (asks(sig) || sig == s.save) && sig != unix.SIGINT: // it has its time; an impatient user's Ctrl-C is something else
			if told {
				saved = time.After(s.timeout)
			}
		case s.deliver(sig) && (deadline == nil || told):
			deadline = time.After(s.timeout)
		}
	}
	for _, sig := range late {
		deliver(sig)
	}
	expired, reminder := s.expiry(), s.remind(end)
	for {
		select {
		case sig := <-incoming:
			deliver(sig)
		case <-reminder:
			if s.saving == nil && s.ask(timeLeft, false) && end != nil {
				saved = time.After(max(s.saveBefore/2, time.Until(*end)-s.timeout))
			}
		case <-saved:
			saved = nil
			s.saving.forced = signalName(unix.SIGTERM)
			s.event("signal", map[string]any{"signal": signalName(s.stop)})
			s.send(s.stop)
			deadline = time.After(min(s.timeout, endGrace))
		case <-expired:
			s.expire()
			if deadline == nil {
				deadline = time.After(s.timeout)
			}
		case <-deadline:
			s.send(unix.SIGKILL) // Kill follows where this does not reach
			final = time.After(killGrace)
			if s.saving != nil {
				s.saving.forced = signalName(unix.SIGKILL)
			}
			s.event("killed", map[string]any{"after": s.timeout.Seconds()})
			s.notice("the job did not end within " + s.timeout.String() + " of " + s.wish() + " and was killed (--stop-timeout gives it longer)")
		case <-final:
			_ = s.box.Kill()
		case <-s.box.Ended():
			return
		}
	}
}

// toldHowLong reports whether whoever asks the job to end has said what time it has for that (coracle stop -t).
func (s *supervision) toldHowLong() bool {
	d, ok := s.writer.StopTimeout()
	if ok {
		s.timeout = d
	}
	return ok
}

// overtaken hears of what a job has ended for before its supervisor knew of it: a batch system sends one signal to both.
func (s *supervision) overtaken(incoming <-chan os.Signal, exit container.Exit) {
	if s.asked != nil || s.saving != nil || !asks(exit.Signal) && s.save == 0 {
		return
	}
	const onItsWay = 50 * time.Millisecond
	over := time.After(onItsWay)
	for {
		select {
		case sig := <-incoming:
			switch sig {
			case exit.Signal:
				s.asked = sig
				return
			case s.save:
				s.saving = s.has(signalName(s.save))
				return
			}
		case <-over:
			return
		}
	}
}

// expiry is when the job's time is up; never without a limit.
func (s *supervision) expiry() <-chan time.Time {
	if s.limit == 0 {
		return nil
	}
	return time.After(time.Until(s.since.Add(s.limit)))
}

// expire asks a job to end whose time is up. One that was asked before has ended for that.
func (s *supervision) expire() {
	if s.asked != nil {
		return
	}
	s.expired = true
	s.event("timeout", map[string]any{"limit": s.limit.Seconds(), "signal": cmp.Or(unix.SignalName(s.stop), strconv.Itoa(int(s.stop)))})
	s.send(s.stop)
}

// send delivers a signal for which a paused job goes on: one that asks it to end or ends it, or SIGCONT.
func (s *supervision) send(sig syscall.Signal) {
	_ = s.box.Signal(sig) // a job that has ended needs none
	if err := s.pause.wake(); err != nil {
		s.notice("the paused job does not go on: " + err.Error()) // and is killed in time
	}
}

// wish is what asked the job to end.
func (s *supervision) wish() string {
	if s.saving != nil {
		return "being asked to save its work and then to end"
	}
	if s.expired {
		return "its time limit"
	}
	return interruption{s.asked}.name()
}

// deliver hands one signal to the job and reports whether it asks for the job's end.
func (s *supervision) deliver(sig os.Signal) bool {
	number, ok := sig.(syscall.Signal)
	if !ok || !slices.Contains(passed, sig) {
		return false
	}
	if number == unix.SIGTERM {
		number = s.stop
	}
	s.event("signal", map[string]any{"signal": cmp.Or(unix.SignalName(number), strconv.Itoa(int(number)))})
	if !asks(sig) && sig != unix.SIGCONT {
		_ = s.box.Signal(number) // a job that has ended needs none
		return false
	}
	s.send(number)
	if !asks(sig) {
		return false
	}
	if s.asked == nil {
		s.asked = sig
	}
	return true
}

// event notes what happened in the record; a full disk must not end a training.
func (s *supervision) event(kind string, fields map[string]any) { _ = s.writer.Event(kind, fields) }
