package job

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
)

// trial is one start of a job, and what is the same for all of them.
type trial struct {
	*attempt
	upper    *store.Upper
	caller   Streams
	incoming *signals
	listener *listener
	stop     syscall.Signal

	box      *container.Container
	streams  *streams
	job      *supervision
	measured *measurement
	served   func() error
	trouble  error
	clearing chan error // nil: of a job that never began there is nothing to clear
}

// start starts the job.
func (t *trial) start(ctx context.Context) (err error) {
	if t.streams, err = openStreams(t.caller, t.writer.Log(), t.listener.stream, t.options, &t.joint); err != nil {
		return err
	}
	box, err := t.attempt.start(ctx, t.upper, t.streams, t.incoming.handed(t.stop))
	if err != nil {
		return errors.Join(t.held.explain(err), t.streams.finish())
	}
	t.box = box
	return nil
}

// begin looks after a job that runs.
func (t *trial) begin() {
	t.job = &supervision{box: t.box, writer: t.writer, notice: t.Notice, timeout: t.options.StopTimeout, stop: t.stop, limit: t.options.Watch.Timeout, since: t.firstStart(t.box)}
	t.job.pause = &pause{box: t.box, group: t.held.group, tell: t.writer.SetPaused, event: t.job.event}
	t.job.save, _ = t.options.Watch.Checkpoint.check() // has been checked
	t.job.saveBefore = t.options.Watch.Checkpoint.Before
	t.job.event("started", map[string]any{"uid": t.box.User.UID, "gid": t.box.User.GID, "home": t.box.User.Home})
	t.job.tellRoot(t.box.Made)
	t.job.tellImages(t.box.Images)
	t.watchNetwork(t.job)
	t.measured = t.measure(t.job)
	t.trouble = t.streams.started(t.box.Console(), t.options.Interactive)
	t.served = t.serve(t.job, t.upper)
}

// ending is how a trial ended.
type ending struct {
	exit    container.Exit
	result  record.Result
	trouble error
}

// watch supervises the job to its end, and takes the last numbers of it.
func (t *trial) watch(late []os.Signal) (e ending) {
	t.job.run(t.incoming.incoming, late, t.held.until)
	trace.Mark(trace.Run, "job seen to have ended")
	exit, waitErr := t.box.Wait()
	t.job.overtaken(t.incoming.incoming, exit)
	e.exit, e.result = exit, record.Result{Started: t.box.Started}
	measureErr := t.measured.result(exit, &e.result)
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
	err := t.incoming.await(finished, t.job.asked != nil || t.job.expired || t.job.saving != nil)
	if errors.Is(err, errNotRead) {
		err = errors.Join(err, t.streams.restore.Run())
	}
	return err
}

// evidence is what is known of the end.
func (t *trial) evidence(e *ending) evidence {
	known := t.measured.evidence(e.result)
	known.exit, known.asked, known.saving = e.exit, t.job.asked, t.job.saving
	if s := t.job.saving; s != nil {
		s.endedAfter(e.exit, t.box.Started, t.writer.Run().Mounts)
		e.result.Checkpoint = &s.saved
		known.batch = sched.Batch(t.Environ)
	}
	if t.job.expired {
		known.limit = t.job.limit
	}
	if e.exit.Code != 0 {
		known.tail = t.writer.Log().Tail(tailBytes)
	}
	return known
}
