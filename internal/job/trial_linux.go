package job

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/measure"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/internal/supervise"
	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/network"
)

// trial is one start of a job, and what is the same for all of them.
type trial struct {
	*attempt
	upper    *store.Upper
	caller   Streams
	incoming *signals.Incoming
	listener *listener
	stop     syscall.Signal

	box      *container.Container
	streams  *streams
	job      *supervise.Supervision
	measured *measure.Measurement
	served   func() error
	trouble  error
	clearing chan error // nil: of a job that never began there is nothing to clear
}

// start starts the job.
func (t *trial) start(ctx context.Context) (err error) {
	if t.streams, err = openStreams(t.caller, t.writer.Log(), t.listener.stream, t.options, &t.joint); err != nil {
		return err
	}
	box, err := t.attempt.start(ctx, t.upper, t.streams, t.incoming.Handed(t.stop))
	if err != nil {
		return errors.Join(t.held.Explain(err), t.streams.finish())
	}
	t.box = box
	return nil
}

// begin looks after a job that runs.
func (t *trial) begin() {
	t.job = supervise.Begin(supervise.Job{
		Box: t.box, Group: t.held.Group, Writer: t.writer, Notice: t.Notice, Timeout: t.options.StopTimeout, Stop: t.stop,
		Limit: t.options.Watch.Timeout, Since: t.firstStart(t.box), Checkpoint: t.options.Watch.Checkpoint,
	})
	t.job.Event("started", map[string]any{"uid": t.box.User.UID, "gid": t.box.User.GID, "home": t.box.User.Home})
	t.job.TellRoot(t.box.Made)
	t.job.TellImages(t.box.Images)
	t.job.WatchNetwork(t.options.Network.config)
	t.measured = t.measure()
	t.trouble = t.streams.started(t.box.Console(), t.options.Interactive)
	t.served = t.serve(t.job, t.upper)
}

// measure begins to measure the job.
func (t *trial) measure() *measure.Measurement {
	run := t.writer.Run()
	job := measure.Job{
		Box: t.box, NoInit: t.options.NoInit, Network: run.Network == string(network.Private), Cgroup: t.held.Measurable(), Around: t.held.Around,
		GPUs: run.GPUs, Started: t.firstStart(t.box), Before: t.tally.counted,
	}
	if len(job.GPUs) > 0 {
		job.Watchers = t.devices.Watchers()
	}
	return measure.Begin(job, t.writer, t.Notice)
}

// ending is how a trial ended.
type ending struct {
	exit    container.Exit
	result  record.Result
	trouble error
}

// collectAt is how much more memory than it needs a supervisor may take, in percent, before it collects what it needs no more: it stays as
// long as its job, beside as many others as the node has ranks. Go's own 100 takes a MiB more and saves no processor time that could be
// measured with 80 MiB of output of which each line was looked through for metrics; 50 saves another and takes a tenth more.
const collectAt = 75

// watch supervises the job to its end, and takes the last numbers of it.
func (t *trial) watch(late []os.Signal) (e ending) {
	debug.SetGCPercent(collectAt)
	t.job.Run(t.incoming.C, late, t.held.Until)
	trace.Mark(trace.Run, "job seen to have ended")
	exit, waitErr := t.box.Wait()
	t.job.Overtaken(t.incoming.C, exit)
	e.exit, e.result = exit, record.Result{Started: t.box.Started}
	measureErr := t.measured.Result(exit, &e.result)
	e.trouble = errors.Join(t.trouble, waitErr, measureErr)
	return e
}

// clear removes what held the job, while the record is being finished.
func (t *trial) clear(also ...func() error) {
	t.clearing = make(chan error, 1)
	box, served, clearing := t.box, t.served, t.clearing
	go func() {
		box.Over()
		errs := []error{served()}
		for _, f := range also {
			errs = append(errs, f())
		}
		clearing <- errors.Join(errs...)
	}()
}

// hearEnd waits until the last of the job's output is where it belongs.
func (t *trial) hearEnd() error {
	finished := make(chan error, 1)
	go func() {
		err := t.streams.finish()
		t.joint.others.end()
		finished <- err
	}()
	patience := time.Duration(0)
	if t.job.Wanted() {
		patience = supervise.KillGrace
	}
	err := t.incoming.Await(finished, patience)
	if errors.Is(err, signals.ErrImpatient) {
		err = errors.Join(errNotRead, t.streams.borrowed.Return())
	}
	return err
}

// evidence is what is known of the end.
func (t *trial) evidence(e *ending) cause.Evidence {
	known := t.measured.Evidence(e.result)
	known.Exit, known.Patience = e.exit, t.job.Killed
	if asked := t.job.Asked; asked != nil {
		known.Asked = signals.InterruptError{Signal: asked}.Name()
	}
	if saved := t.job.Saved(e.exit); saved != nil {
		e.result.Checkpoint, known.Checkpoint = saved, saved
		known.Batch = sched.Batch(t.Environ)
	}
	if t.job.Expired {
		known.Limit = t.job.Limit
	}
	if e.exit.Code != 0 {
		known.Tail = t.writer.Log().Tail(tailBytes)
	}
	return known
}
