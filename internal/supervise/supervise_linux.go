// Package supervise looks after a job that runs: it passes signals on, ends a job whose time is over, asks it to save its work first, pauses
// it, and tells what happens to what the job depends on.
package supervise

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/runtime/cgroup"
	"github.com/coracle-run/coracle/runtime/container"
)

// KillGrace is how long a container may take to end after SIGKILL before it is ended from outside.
const KillGrace = 2 * time.Second

// Job is a running job, and how long it may run.
type Job struct {
	Box        *container.Container
	Group      *cgroup.Group // that holds it
	Writer     *record.Writer
	Notice     func(string)   // tells the user
	Timeout    time.Duration  // from a signal that asks it to end to SIGKILL for all of it
	Stop       syscall.Signal // delivered in place of SIGTERM
	Limit      time.Duration  // of its time; 0: none
	Since      time.Time      // from when on that counts: its first start
	Checkpoint Checkpoint     // has been checked
}

// Supervision is a running job with its supervisor's view of it. One goroutine runs it; Pause may be used beside that.
type Supervision struct {
	Job
	Pause   *Pause
	Asked   os.Signal      // the signal that first asked the job to end; nil: none has
	Killed  *time.Duration // it was killed after so long a time to end; nil: it was not
	Expired bool           // its time is over

	Save   syscall.Signal // by which the job is asked to save its work; 0: it is not
	saving *saving        // it has been asked; nil: it has not
}

// Begin begins to look after a job; Run goes on with that.
func Begin(j Job) *Supervision {
	s := &Supervision{Job: j}
	s.Pause = &Pause{box: j.Box, group: j.Group, tell: j.Writer.SetPaused, event: s.Event}
	s.Save, _ = j.Checkpoint.Check()
	return s
}

// Wanted reports whether somebody, or the end of its time, has asked the job to end or to save its work.
func (s *Supervision) Wanted() bool { return s.Asked != nil || s.saving != nil || s.Expired }

// Run passes signals on until the job has ended. A job that was asked to end and does not is killed when its time is up; one that is
// asked to save its work first has that time for it, and is asked to end then. end is when the batch job ends; nil: nobody says.
func (s *Supervision) Run(incoming <-chan os.Signal, late []os.Signal, end *time.Time) {
	var deadline, saved, final <-chan time.Time
	deliver := func(sig os.Signal) {
		told := signals.Asks(sig) && s.toldHowLong()
		switch {
		case told && s.Timeout == 0: // it is to be killed, and hears of nothing before
			s.toEnd(sig)
			saved, deadline = nil, time.After(0)
		case s.askedToSave(sig):
			saved = time.After(s.Timeout)
		case saved != nil && (signals.Asks(sig) || sig == s.Save) && sig != unix.SIGINT: // it has its time; an impatient user's Ctrl-C is something else
			if told {
				saved = time.After(s.Timeout)
			}
		case s.deliver(sig) && (deadline == nil || told):
			deadline = time.After(s.Timeout)
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
			if s.saving == nil && s.ask(cause.TimeLeft, false) && end != nil {
				saved = time.After(max(s.Checkpoint.Before/2, time.Until(*end)-s.Timeout))
			}
		case <-saved:
			saved = nil
			s.saving.forced = signals.Name(unix.SIGTERM)
			s.Event("signal", map[string]any{"signal": signals.Name(s.Stop)})
			s.send(s.Stop)
			deadline = time.After(min(s.Timeout, endGrace))
		case <-expired:
			s.expire()
			if deadline == nil {
				deadline = time.After(s.Timeout)
			}
		case <-deadline:
			s.send(unix.SIGKILL) // Kill follows where this does not reach
			final = time.After(KillGrace)
			if s.saving != nil {
				s.saving.forced = signals.Name(unix.SIGKILL)
			}
			s.killed()
		case <-final:
			_ = s.Box.Kill()
		case <-s.Box.Ended():
			return
		}
	}
}

// killed notes that the job was killed, and tells the user unless that was asked for.
func (s *Supervision) killed() {
	after := s.Timeout
	s.Killed = &after
	s.Event("killed", map[string]any{"after": after.Seconds()})
	if after > 0 {
		s.Notice("the job did not end within " + after.String() + " of " + s.wish() + " and was killed (--stop-timeout gives it longer)")
	}
}

// toldHowLong reports whether whoever asks the job to end has said what time it has for that (coracle stop -t).
func (s *Supervision) toldHowLong() bool {
	d, ok := s.Writer.StopTimeout()
	if ok {
		s.Timeout = d
	}
	return ok
}

// Overtaken hears of what a job has ended for before its supervisor knew of it: a batch system sends one signal to both.
func (s *Supervision) Overtaken(incoming <-chan os.Signal, exit container.Exit) {
	if s.Asked != nil || s.saving != nil || !signals.Asks(exit.Signal) && s.Save == 0 {
		return
	}
	const onItsWay = 50 * time.Millisecond
	over := time.After(onItsWay)
	for {
		select {
		case sig := <-incoming:
			switch sig {
			case exit.Signal:
				s.Asked = sig
				return
			case s.Save:
				s.saving = s.alreadyHas(signals.Name(s.Save))
				return
			}
		case <-over:
			return
		}
	}
}

// expiry is when the job's time is up; never without a limit.
func (s *Supervision) expiry() <-chan time.Time {
	if s.Limit == 0 {
		return nil
	}
	return time.After(time.Until(s.Since.Add(s.Limit)))
}

// expire asks a job to end whose time is up. One that was asked before has ended for that.
func (s *Supervision) expire() {
	if s.Asked != nil {
		return
	}
	s.Expired = true
	s.Event("timeout", map[string]any{"limit": s.Limit.Seconds(), "signal": signals.Name(s.Stop)})
	s.send(s.Stop)
}

// send delivers a signal for which a paused job goes on: one that asks it to end or ends it, or SIGCONT.
func (s *Supervision) send(sig syscall.Signal) {
	_ = s.Box.Signal(sig) // a job that has ended needs none
	if err := s.Pause.wake(); err != nil {
		s.Notice("the paused job does not go on: " + err.Error()) // and is killed in time
	}
}

// wish is what asked the job to end.
func (s *Supervision) wish() string {
	if s.saving != nil {
		return "being asked to save its work and then to end"
	}
	if s.Expired {
		return "its time limit"
	}
	return signals.InterruptError{Signal: s.Asked}.Name()
}

// deliver hands one signal to the job and reports whether it asks for the job's end.
func (s *Supervision) deliver(sig os.Signal) bool {
	number, ok := sig.(syscall.Signal)
	if !ok || !signals.Passes(number) {
		return false
	}
	if number == unix.SIGTERM {
		number = s.Stop
	}
	s.Event("signal", map[string]any{"signal": signals.Name(number)})
	if !signals.Asks(sig) && sig != unix.SIGCONT {
		_ = s.Box.Signal(number) // a job that has ended needs none
		return false
	}
	s.send(number)
	if !signals.Asks(sig) {
		return false
	}
	s.toEnd(sig)
	return true
}

// toEnd notes what first asked the job to end.
func (s *Supervision) toEnd(sig os.Signal) {
	if s.Asked == nil {
		s.Asked = sig
	}
}

// Event notes what happened in the record; a full disk must not end a training.
func (s *Supervision) Event(kind string, fields map[string]any) { _ = s.Writer.Event(kind, fields) }
