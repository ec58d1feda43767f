package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// backOff is for how long a job is not started again, as docker has it: doubled each time, until it has run for a while.
const (
	firstBackOff = 100 * time.Millisecond
	mostBackOff  = time.Minute
	steady       = 10 * time.Second
)

// tally is what the starts of a job came to before the one that goes on.
type tally struct {
	started time.Time      // the first; zero: there was none before
	result  record.Result  // with the attempts and the sums
	counted metrics.Sample // likewise, for the series
	backOff time.Duration  // before the last
	again   bool           // its limits are those of a later start
}

// firstStart is when the job was started first, of which a container is one start.
func (a *attempt) firstStart(box *container.Container) time.Time {
	if a.tally.started.IsZero() {
		return box.Started
	}
	return a.tally.started
}

// again reports whether a job that has ended is to be started again. Who asked it to end, or to save its work, wants no more of it, and
// its time is over for good.
func (a *attempt) again(t *trial, e *ending) bool {
	if t.job.Wanted() {
		return false
	}
	if !a.options.Restart.again(a.tally.result.Restarts+min(1, len(a.tally.result.Attempts)), e.exit.Code) {
		return false
	}
	if t.box.Made.Way == rootfs.Copy && a.options.Keep == "" {
		a.Notice("the job is not started again: the kernel has no overlay here, and its writable layer is a copy of the image that cannot be used twice")
		return false
	}
	return true
}

// restart ends a trial for good and begins the next. A signal that comes before it begins makes this one the last: the next has not
// been.
func (t *trial) restart(e *ending) (stopped bool, err error) {
	a := t.attempt
	delay := a.tally.next(e.exit.Wall)
	attempt := a.count(t, e)
	t.clear()
	e.trouble = errors.Join(e.trouble, t.hearEnd())
	if e.trouble != nil {
		a.Notice("while supervising the job: " + e.trouble.Error())
		e.trouble = nil
	}
	err = errors.Join(<-t.clearing, t.box.Close())
	t.box.Gone() // with its mount of the writable layer, which the kernel does not mount twice
	if err := errors.Join(err, a.removeGroup(t.box)); err != nil {
		a.Notice("removing the container: " + err.Error())
	}
	if err := a.writer.SetPaused(false); err != nil { // it may have been killed while it was paused
		a.Notice("the run may be listed as paused: " + err.Error())
	}
	t.job.Event("restart", map[string]any{"attempt": attempt, "delay": delay.Seconds()})
	a.tellRestarting(&attempt)
	deaf := t.answerWaiting(delay)
	goesOn := t.rest(delay)
	if err := deaf(); err != nil {
		a.Notice("commands may not reach the next start of the job: " + err.Error())
	}
	if !goesOn {
		return true, nil
	}
	a.tellRestarting(nil)
	if err := errors.Join(t.upper.Renew(), a.prepareAgain(), a.mounts(t.upper)); err != nil {
		return false, err
	}
	t.joint.others.begin()
	if err := t.start(context.Background()); err != nil {
		return false, err
	}
	t.begin()
	return false, nil
}

// tellRestarting says in the record how the job has ended that waits for its next start; nil: it waits no more.
func (a *attempt) tellRestarting(ended *record.Attempt) {
	if err := a.writer.SetRestarting(ended); err != nil {
		a.Notice("the run may be listed as one that waits for its next start, or as one that does not: " + err.Error())
	}
}

// next is how long the next start is off after a trial of some length.
func (t *tally) next(wall time.Duration) time.Duration {
	switch {
	case t.backOff == 0 || wall >= steady:
		t.backOff = firstBackOff
	default:
		t.backOff = min(2*t.backOff, mostBackOff)
	}
	return t.backOff
}

// rest waits, and reports whether nobody has asked for the end of the run meanwhile.
func (t *trial) rest(delay time.Duration) bool {
	over := time.After(delay)
	for {
		select {
		case sig := <-t.incoming.C:
			if signals.Asks(sig) || sig == t.job.Save {
				t.job.Asked = sig
				t.job.Event("signal", map[string]any{"signal": signals.InterruptError{Signal: sig}.Name()})
				return false
			}
		case <-over:
			return true
		}
	}
}

// count adds a trial that has ended to the tally.
func (a *attempt) count(t *trial, e *ending) record.Attempt {
	known := t.evidence(e)
	v := known.Judge()
	attempt := attemptOf(e, v)
	a.tally.started = a.firstStart(t.box)
	a.tally.result.AddAttempt(attempt)
	e.result.Include(a.tally.result)
	a.tally.result.Totals, a.tally.result.Peaks = e.result.Totals, e.result.Peaks
	a.tally.result.Sources, a.tally.result.GPUUse = e.result.Sources, e.result.GPUUse
	a.tally.counted = t.measured.Count()
	return attempt
}

func attemptOf(e *ending, v cause.Verdict) record.Attempt {
	attempt := record.Attempt{
		Started: e.result.Started.UTC(), Finished: e.result.Started.Add(e.exit.Wall).UTC(), ExitCode: e.exit.Code, Cause: v.Cause, Message: v.Message,
	}
	if e.exit.Signal != 0 {
		attempt.Signal = signals.Name(e.exit.Signal)
	}
	return attempt
}

// prepareAgain makes what a start has used up: a keeper, and what holds the job to its limits. What is said of those was said the first
// time. The volumes and the writable layer are there, with what the job has written.
func (a *attempt) prepareAgain() (err error) {
	a.prepared = container.Prepare(a.ids)
	a.volumes.config.Seeds = nil
	quiet := *a.Runner
	quiet.Notice = func(string) {}
	options := a.options
	if err := a.forgetAgain(); err != nil {
		return err
	}
	held, err := quiet.hold(context.Background(), &options, a.facts, a.prepared)
	if err != nil {
		return errors.Join(fmt.Errorf("starting the job again: %w", err), a.prepared.Close())
	}
	a.held, a.tally.again = held, true
	return nil
}

// forgetAgain takes back what was noted of the limits of a later start; of the first, whoever made it does.
func (a *attempt) forgetAgain() error {
	if !a.tally.again {
		return nil
	}
	a.tally.again = false
	return a.held.Forget()
}

// notAgain finishes the record of a job that was to be started again: it was asked to end before that, or could not be.
func (t *trial) notAgain(e ending, why error, rest func(*record.Result) error) (int, error) {
	a := t.attempt
	t.clearing = make(chan error, 1)
	go func() { t.clearing <- errors.Join(a.volumes.release(), t.upper.Empty()) }()
	result := a.tally.result
	if err := rest(&result); err != nil {
		a.Notice("while supervising the job: " + err.Error())
	}
	tellDropped(a.Notice, result.MetricsDropped)
	code, of := e.exit.Code, record.Stopped
	result.Message = fmt.Sprintf("The job had ended with status %d and was to be started again, when the run was asked to end.", code)
	if why != nil {
		code, of, why = failure(context.Background(), why, record.StartFailure)
		result.Message = "The job could not be started again: " + why.Error()
	}
	code = a.options.Watch.code(of, code)
	result.Cause, result.ExitCode = of, &code
	result.Started, result.Finished = a.tally.started, time.Now()
	result.Wall = result.Finished.Sub(result.Started).Seconds()
	err := errors.Join(a.writer.Finish(result), a.forgetAgain())
	return code, errors.Join(why, err, a.settle(t.box))
}

// sum puts what was before the last start of a job into the result of that. Of a job that is started once it changes nothing.
func (a *attempt) sum(result *record.Result, last record.Attempt) {
	if a.options.Restart.Text == "" {
		return
	}
	result.Include(a.tally.result)
	all := a.tally.result
	all.AddAttempt(last)
	result.Attempts, result.Restarts = all.Attempts, all.Restarts
	if !a.tally.started.IsZero() {
		result.Started = a.tally.started
		result.Wall = result.Finished.Sub(result.Started).Seconds()
	}
}
