package job

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/device"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/limit"
	"github.com/coracle-run/coracle/internal/mpi"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/secret"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/internal/supervise"
	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Run runs one job to its end. The error is nil for status 0, else an *ExitError. Every run that got as far as asking for
// its image leaves a record.
func (r *Runner) Run(ctx context.Context, o Options, caller Streams) error {
	impatient := *r
	impatient.Notice = r.tell
	code, err := impatient.run(ctx, o, caller)
	if err != nil || code != 0 {
		return &ExitError{Code: code, Err: err}
	}
	return nil
}

// noticePatience is how long a run waits for somebody to take a notice.
const noticePatience = 500 * time.Millisecond

// tell gives a notice, and does not wait for ever where nobody reads it: with `2>&1 |` the notice that a job is being killed
// is stuck behind that job's own output.
func (r *Runner) tell(text string) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		r.Notice(text)
	}()
	select {
	case <-said:
	case <-time.After(noticePatience):
	}
}

func (r *Runner) run(ctx context.Context, o Options, caller Streams) (code int, err error) {
	trace.Mark(trace.Run, "command line read, store opened")
	save, saveErr := o.Watch.Checkpoint.Check()
	incoming, ctx := signals.Listen(ctx, save)
	defer func() { go incoming.Stop() }()
	if err := r.checkShare(&o); err != nil {
		return cause.StatusFailure, err
	}
	part, err := r.openMPI(&o)
	if err != nil {
		return cause.StatusFailure, err
	}
	defer part.Close()
	ids, err := o.UserNS.ids()
	if err != nil {
		return cause.StatusFailure, err
	}
	prepared := container.Prepare(ids) // while the image is being found
	defer func() { err = errors.Join(err, prepared.Close()) }()
	facts, err := host.Read()
	_, stopErr := signals.ForStop(o.StopSignal, "", nil)
	if err := cmp.Or(err, stopErr, saveErr); err != nil {
		return cause.StatusFailure, err
	}
	if err := errors.Join(checkNames(o.Name, o.Spec.Hostname), checkVolumes(o.Spec.Volumes), o.checkTerminal(caller), o.checkKeep(), r.checkName(o.Name)); err != nil {
		return cause.StatusFailure, err
	}
	if err := r.network(ctx, &o.Network); err != nil {
		return cause.StatusFailure, err
	}
	devices, err := device.Open(o.Devices, r.Environ, r.Notice)
	defer func() { err = errors.Join(err, devices.Close()) }()
	if err != nil {
		return cause.StatusFailure, err
	}
	r.complete(&o, facts, part)
	held, err := r.hold(ctx, &o, facts, prepared)
	if err != nil {
		return cause.StatusFailure, err
	}
	defer func() {
		if err := held.Forget(); err != nil {
			r.tell("forgetting the scope: " + err.Error())
		}
	}()
	image, s, err := r.plan(ctx, o, facts, devices, part)
	var data map[string]store.Image
	if err == nil {
		data, err = r.dataImages(ctx, o)
	}
	trace.Mark(trace.Run, "image found, specification made")
	description, describeErr := r.describe(o, image, s, facts, held)
	description.IDMap, description.Mounts = recordIDs(ids), r.mountRecords(o.Spec.Volumes, data)
	if err == nil {
		devices.Describe(&description)
	}
	if describeErr != nil {
		return cause.StatusFailure, errors.Join(err, describeErr)
	}
	listed, values := secret.Records(o.Secrets)
	description.Secrets, description.RequeuedOf, description.MPI = listed, r.before(description), part.Record()
	<-incoming.Ready
	writer, complete, writeErr := r.Runs.Begin(description, values...)
	if writeErr != nil {
		return cause.StatusFailure, errors.Join(err, writeErr)
	}
	trace.Mark(trace.Run, "record made")
	r.announce(writer.ID())
	a := &attempt{
		Runner: r, options: o, image: image, data: data, spec: s, facts: facts, ids: ids, devices: devices, mpi: &part,
		writer: writer, recorded: sync.OnceValue(complete), prepared: prepared, held: held,
	}
	a.mayPart()
	if err != nil {
		return a.fail(ctx, err, stage(err))
	}
	go func() { _ = a.recorded() }() // asked for again before the job begins
	return a.run(ctx, incoming, caller)
}

func (r *Runner) announce(id string) {
	if r.Recorded != nil {
		r.Recorded(id)
	}
}

// plan gets the image and decides what is to run.
func (r *Runner) plan(ctx context.Context, o Options, facts host.Facts, d *device.Devices, part mpi.Part) (store.Image, *specs.Spec, error) {
	choosing := d.Choose(ctx)
	image, err := o.Fetch.Get(choosing, r.Store, o.Image)
	if err != nil {
		if choosing.Err() != nil && ctx.Err() == nil {
			err = context.Cause(choosing)
		}
		return store.Image{}, nil, err
	}
	s, err := spec.New(image.Config.Config, o.Spec, spec.Host{
		CgroupV2:         facts.CgroupV2,
		CgroupNamespaces: facts.CgroupNamespaces,
	})
	if err == nil {
		err = d.Complete(ctx, s, device.Job{Env: o.Spec.Env, ImageEnv: image.Config.Config.Env, Volumes: o.Spec.Volumes, Users: o.UserNS == SubUID})
	}
	if err == nil {
		part.Specify(s)
	}
	return image, s, err
}

// attempt is one run from the moment that it has a record.
type attempt struct {
	*Runner
	options  Options
	image    store.Image
	data     map[string]store.Image // that are mounted, by the names given
	spec     *specs.Spec
	facts    host.Facts
	writer   *record.Writer
	recorded func() error // completes the record, and can be asked for again; no job begins before
	prepared *container.Prepared
	ids      host.IDMap // of SubUID
	lower    []string   // the trees of the image's layers, the base first
	held     limit.Held
	volumes  volumes
	devices  *device.Devices
	away     away
	tally    tally // of the starts of the job before this one
	joint    joint
	mpi      *mpi.Part
	shared   *shared // nil: the container is the run's own
}

// fail closes the record of a job that never began.
func (a *attempt) fail(ctx context.Context, err error, stage record.Cause) (int, error) {
	if unwritten := a.recorded(); unwritten != nil {
		if errors.Is(err, unwritten) {
			return cause.StatusFailure, err
		}
		return cause.StatusFailure, errors.Join(err, unwritten)
	}
	code, of, err := failure(ctx, err, stage)
	code = a.options.Watch.code(of, code)
	result := record.Result{ExitCode: &code, Cause: of, Message: err.Error(), Advice: cause.AdviceOn(of)}
	if a.Advise != nil {
		result.Advice = cmp.Or(a.Advise(err), result.Advice)
	}
	finishErr := a.writer.Finish(result)
	return code, errors.Join(err, finishErr, a.writer.Settle())
}

func (a *attempt) run(ctx context.Context, incoming *signals.Incoming, caller Streams) (code int, err error) {
	upper, err := a.prepare(ctx)
	if err != nil {
		return a.fail(ctx, err, record.StartFailure)
	}
	t := &trial{attempt: a, upper: upper, caller: caller, incoming: incoming}
	defer func() {
		trace.Mark(trace.Run, "record finished")
		// The record is written; who is in a hurry may go: the next command removes the rest.
		defer time.AfterFunc(removePatience, incoming.Stop).Stop()
		if err := errors.Join(a.removeGroup(t.box), a.remove(upper, t.clearing), a.leaveShared()); err != nil {
			a.Notice("removing the container: " + err.Error())
		}
	}()
	trace.Mark(trace.Run, "writable layer made")
	t.listener = a.newListener(upper)
	t.stop, _ = signals.ForStop(a.options.StopSignal, a.image.Config.Config.StopSignal, a.Notice) // has been checked
	if err := t.start(ctx); err != nil {
		incoming.HandOver(ctx, time.Now())
		return a.fail(ctx, err, record.StartFailure)
	}
	trace.Mark(trace.Run, "job seen to run")
	late := incoming.HandOver(ctx, t.box.Started)
	t.begin()
	a.merge()
	surveyed := a.survey()
	if a.shared != nil {
		t.listener.dir = a.rankMetricsDir()
	}
	listenErr := t.listener.started(t.box)
	a.begun()
	e := t.watch(late)
	for a.again(t, &e) {
		if stopped, err := t.restart(&e); stopped || err != nil {
			return t.notAgain(e, err, func(r *record.Result) error { return errors.Join(listenErr, t.listener.result(r), surveyed()) })
		}
		e = t.watch(nil)
	}
	t.clear(a.volumes.release, upper.Empty)
	e.trouble = errors.Join(e.trouble, t.hearEnd())
	trace.Mark(trace.Run, "output passed on")
	e.trouble = errors.Join(e.trouble, listenErr, t.listener.result(&e.result), surveyed())
	tellDropped(a.Notice, e.result.MetricsDropped)
	known := t.evidence(&e)
	code, err = a.finish(e.result, known, e.trouble)
	t.box.Over()
	return code, errors.Join(err, a.settle(t.box), t.box.Close())
}

// prepare makes the run's writable layer, held by a lease, and completes the specification with what lies in it. The image
// was found before the lease: somebody may have removed it in between, and then it is fetched again.
func (a *attempt) prepare(ctx context.Context) (_ *store.Upper, err error) {
	run := a.writer.Run()
	upper, err := a.takeName(ctx, store.Lease{
		Owner: run.Supervisor, Run: a.writer.Dir(), Name: run.Name, Image: run.Image.Ref, Digest: a.image.Digest,
		Data: digests(a.data), Layers: a.layers(), Created: run.Created, Cgroups: a.held.Group.Leftovers(),
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.volumes.release(), upper.Remove())
		}
	}()
	if err := a.keep(ctx, upper); err != nil {
		return nil, err
	}
	if err := a.makeMetricsDir(upper); err != nil {
		return nil, err
	}
	var here bool
	if a.image, here = a.Store.Keep(a.image); !here {
		if err := a.refetch(ctx, a.options.Image, a.image); err != nil {
			return nil, err
		}
	}
	if a.lower, err = a.trees(ctx, a.image); err != nil {
		return nil, err
	}
	if a.options.Share != "" {
		return upper, nil
	}
	return upper, a.readyVolumes(ctx, upper)
}

func (a *attempt) start(ctx context.Context, upper *store.Upper, streams *streams, passed uint64) (*container.Container, error) {
	user := a.options.User
	if user == "" {
		user = a.image.Config.Config.User
	}
	filter, err := a.options.Seccomp.filter(a.spec.Process.Capabilities.Bounding)
	if err != nil {
		return nil, err
	}
	files, err := a.options.Network.files(a.options.Spec.Hostname, a.Notice)
	if err != nil {
		return nil, err
	}
	reserved := supervise.ReserveThreads()
	config := container.Config{
		ID:      a.writer.ID(),
		Spec:    a.spec,
		Root:    rootfs.Root{Layers: a.lower, Upper: upper.FS(), Work: upper.Work(), Base: upper.Root(), Kept: upper.Way()},
		User:    user,
		IDs:     a.ids,
		Account: a.options.UserNS.account(),
		SetHome: !spec.HasHome(a.spec.Process.Env),
		Files:   files,
		Volumes: a.volumes.config,
		Filter:  filter, OwnFilter: a.options.Seccomp.Profile == nil,
		Network: a.options.Network.config,
		Metrics: metricsDir(upper),
		Secrets: secret.Files(a.options.Secrets),
		NoInit:  a.options.NoInit,
		Passed:  passed,
		Enter: func(pid int) error { // the job begins after it
			defer reserved()
			return errors.Join(a.held.Group.Enter(pid), a.recorded())
		},
		CPUs: a.held.CPUs,

		Launcher: a.mpi.Socket,
	}
	streams.configure(&config)
	begin := a.prepared.Start
	if a.options.Share != "" {
		begin = a.startShared
	}
	box, err := begin(ctx, config)
	a.mpi.Close()
	if err == nil {
		a.held.Group.Release()
	}
	if err := a.volumes.seeded(); err != nil {
		a.Notice(err.Error())
	}
	return box, err
}
