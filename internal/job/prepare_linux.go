package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/limit"
	"github.com/coracle-run/coracle/internal/mpi"
	"github.com/coracle-run/coracle/internal/naming"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// complete fills in what the user left to Coracle and to this host.
func (r *Runner) complete(o *Options, facts host.Facts, part mpi.Part) {
	o.id = record.NewID(time.Now())
	o.Spec.Hostname = cmp.Or(o.Spec.Hostname, o.Network.hostname(facts.Hostname, o.id))
	o.Spec.OwnNetwork = o.Network.Mode.Own()
	o.Spec.Secrets = len(o.Secrets) > 0
	o.UserNS = cmp.Or(o.UserNS, Flat)
	o.User = cmp.Or(o.UserNS.user(), o.User)
	if o.UserNS == SubUID {
		o.Fetch.Apart = true // there may be a delta above each
		o.Spec.BaseCapabilities = spec.RootOfMany
	}
	if o.UserNS != SubUID {
		o.Spec.Volumes = withoutOwners(o.Spec.Volumes)
	}
	o.shmAsked = o.Spec.ShmBytes
	o.Spec.Inherited = slices.Concat(o.Devices.WithoutHostNumbers(part.Variables(sched.Inherited(r.Environ))), sched.Rendezvous(r.Environ), []string{o.metricsEnv()})
}

// openMPI has what the job gets of its launcher's. Where a server knows its clients by their numbers, the job has the caller's.
func (r *Runner) openMPI(o *Options) (mpi.Part, error) {
	own := o.UserNS == HostUID || o.User == fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	p, err := mpi.Open(mpi.Request{
		Way: o.MPI, Network: o.Network.Mode, Shared: o.Share != "", AsCaller: own, Undecided: o.UserNS == "" && o.User == "", Environ: r.Environ, Notice: r.Notice,
	})
	if p.AsCaller {
		o.UserNS = HostUID
	}
	return p, err
}

// hold decides how the job is held to its limits, and completes the options with what follows.
func (r *Runner) hold(ctx context.Context, o *Options, facts host.Facts, keeper *container.Prepared) (limit.Held, error) {
	held, err := limit.Hold(ctx, limit.Request{
		Limits: o.Limits, ShmBytes: o.Spec.ShmBytes, ID: o.id, Keeper: keeper.Pid, Environ: r.Environ, Facts: facts, Mark: r.Store.Mark, Notice: r.Notice,
	})
	if err != nil {
		return held, err
	}
	o.Spec.Rlimits, o.Spec.OOMScoreAdj = held.Rlimits, held.OOMScoreAdj
	o.Spec.ShmBytes, o.Spec.Threads = held.ShmBytes, held.Threads
	return held, nil
}

// checkNames refuses names that would mean something else where they are used. Empty ones are not given.
func checkNames(name, hostname string) error {
	switch {
	case name == "last":
		return fmt.Errorf("%w: the name last: it already means the newest run", spec.ErrOption)
	case len(name) > naming.Longest:
		return fmt.Errorf("%w: the name %.20q...: it has %d characters, and %d are the most", spec.ErrOption, name, len(name), naming.Longest)
	case name != "" && !naming.IsName(name):
		return fmt.Errorf("%w: the name %q: letters, digits and _.- only, beginning with a letter or digit", spec.ErrOption, name)
	case hostname != "" && !naming.IsHostname(hostname):
		return fmt.Errorf("%w: --hostname %q: at most 64 letters, digits and _.-", spec.ErrOption, hostname)
	}
	return nil
}

// checkName refuses a name that a living run has; those of the dead are free.
func (r *Runner) checkName(name string) error { return checkName(r.Store, name, "") }

// checkName refuses a name that a living run has, other than the one that asks.
func checkName(s *store.Store, name, id string) error {
	if name == "" {
		return nil
	}
	leases, err := s.Leases()
	if err != nil {
		return err
	}
	for _, l := range leases {
		if l.Name == name && filepath.Base(l.Run) != id && !l.Owner.Dead() {
			return fmt.Errorf("%w: %q is run %s", ErrNameTaken, name, filepath.Base(l.Run))
		}
	}
	return nil
}

// takeName makes the run's upper, and with its lease the name is the run's. One at a time, so that of two runs that ask for a
// name at once one gets it.
func (a *attempt) takeName(ctx context.Context, lease store.Lease) (_ *store.Upper, err error) {
	id := a.writer.ID()
	if lease.Name == "" {
		return a.Store.NewUpper(id, lease)
	}
	unlock, err := a.Store.LockName(ctx, lease.Name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := a.checkName(lease.Name); err != nil {
		return nil, err
	}
	return a.Store.NewUpper(id, lease)
}
