// Package limit holds a job to what it may use: by control groups where there are some, else by what an ordinary user can do, and says what
// does not hold.
package limit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/cgroup"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Limits is what a job is to be held to. The zero value asks for nothing.
type Limits struct {
	cgroup.Limits
	Ulimits     []Ulimit
	OOMScoreAdj *int
	Require     bool // what cannot be enforced is an error
}

// groups reports whether anything is asked for that takes control groups.
func (l Limits) groups() bool {
	return l.NanoCPUs > 0 || len(l.CPUSet) > 0 || l.MemoryBytes > 0 || l.Pids > 0 || l.IOWeight > 0
}

// Request is what a job is to be held to, and what is known of it before it runs.
type Request struct {
	Limits   Limits
	ShmBytes int64               // of /dev/shm, as the user has it; 0: half of the memory that the job may use
	ID       string              // the run's
	Keeper   func() (int, error) // gives the process that is to be in the job's group, once it is there
	Environ  []string            // the caller's
	Facts    host.Facts

	// Mark notes something that is made outside of the store, and gives what takes that note back (store.Mark).
	Mark   func(store.Lease) (remove func() error, err error)
	Notice func(string) // is told what does not hold
}

// Held is what holds a job, and what follows of that for it.
type Held struct {
	Group       *cgroup.Group
	Rlimits     []specs.POSIXRlimit
	OOMScoreAdj *int       // nil: the caller's
	CPUs        []int      // that the job is to be bound to; nil: none
	Threads     int        // that it is told to use; 0: nothing
	ShmBytes    int64      // of its /dev/shm
	Around      string     // our own directory of the memory controller; ""
	Until       *time.Time // when the batch job ends; nil: nobody says

	asked    Limits
	enforced []cgroup.Enforced // by other means than the group
	missing  []cgroup.Missing
	foreseen func() error // takes back what was noted of the group's scope; nil: nothing was
}

// Hold decides how a job is to be held to its limits, and tells the user what cannot be. Nothing of the job runs yet. The caller gives what
// it returns to Forget. The error is spec.ErrOption for limits that no machine can have, and ErrNotEnforced, with a hint.
func Hold(ctx context.Context, r Request) (_ Held, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return Held{}, fmt.Errorf("asking which CPUs are ours: %w", err)
	}
	ours := listCPUs(&set)
	if err := r.Limits.Check(ours); err != nil {
		return Held{}, fmt.Errorf("%w: %w", spec.ErrOption, err)
	}
	around := cgroup.Read(cgroup.Look{Batch: sched.Batch(r.Environ), Full: r.Limits.groups()})
	allocated := sched.Allocated(r.Environ)
	h := Held{Until: sched.Until(r.Environ), ShmBytes: r.ShmBytes, asked: r.Limits}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Forget())
		}
	}()
	foresee := func(u cgroup.Unit) (err error) {
		h.foreseen, err = r.Mark(store.Lease{Scope: u.Name, Bus: u.Bus})
		return err
	}
	h.Group = around.Arrange(ctx, r.Limits.Limits, cgroup.Job{ID: r.ID, Pid: r.Keeper, Foresee: foresee})
	h.missing = h.Group.Missing
	h.Around = cmp.Or(around.Places()["memory"], around.Places()[""])
	h.bind(ours)
	h.holdProcesses()
	if err := h.tellMissing(around, r.Notice); err != nil {
		return Held{}, err
	}
	h.Threads = threads(r.Limits, len(ours), around.Encloses.CPUs, allocated.CPUs)
	if h.Threads >= host.OnlineCPUs() {
		h.Threads = 0
	}
	if h.ShmBytes == 0 {
		h.ShmBytes = shmBytes(r.Limits, around, allocated, r.Facts)
	}
	return h, nil
}

// Forget takes back what was noted of a scope, when that goes with the run. One that the manager has made in vain is the next command's
// to stop.
func (h Held) Forget() error {
	if h.foreseen == nil || h.Group.Way != cgroup.Scope {
		return nil
	}
	return h.foreseen()
}

// threads is how many CPUs a job has: of those that it may run on, as many as its own limit, those around it, and its scheduler
// give. A part of one is one.
func threads(l Limits, ours int, quota float64, allocated int) int {
	n := float64(ours)
	if len(l.CPUSet) > 0 {
		n = float64(len(l.CPUSet))
	}
	for _, limit := range []float64{float64(l.NanoCPUs) / 1e9, quota, float64(allocated)} {
		if limit > 0 {
			n = min(n, math.Ceil(limit))
		}
	}
	return max(1, int(n))
}

// bind has the job run where the caller may, or on some of these CPUs. Where its group does not hold it there, this alone does.
func (h *Held) bind(ours []int) {
	if len(h.asked.CPUSet) == 0 {
		if len(ours) < host.OnlineCPUs() {
			h.CPUs = ours
		}
		return
	}
	h.CPUs = h.asked.CPUSet
	for i, m := range h.missing {
		if m.Limit == cgroup.CPUSet {
			h.missing = append(h.missing[:i:i], h.missing[i+1:]...)
			h.enforced = append(h.enforced, cgroup.Enforced{Limit: m.Limit, Value: m.Value, Mechanism: cgroup.ByAffinity})
			return
		}
	}
}

func listCPUs(set *unix.CPUSet) []int {
	cpus := make([]int, 0, set.Count())
	for cpu := 0; len(cpus) < cap(cpus); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// Record is what holds the job, for its record.
func (h Held) Record() record.Limits {
	limits := record.Limits{ShmBytes: h.ShmBytes, Threads: h.Threads, Requested: h.asked.requested(), Until: h.Until}
	for _, list := range [][]cgroup.Enforced{h.Group.Enforced, h.enforced} {
		for _, e := range list {
			limits.Enforced = append(limits.Enforced, record.Limit{Limit: e.Limit, Value: e.Value, Mechanism: e.Mechanism})
			switch n, _ := strconv.ParseInt(e.Value, 10, 64); e.Limit { // those that are no numbers are not these
			case cgroup.Memory:
				limits.MemoryBytes = n
			case cgroup.Pids:
				limits.Pids = n
			}
		}
	}
	for _, m := range h.missing {
		limits.Missing = append(limits.Missing, record.Limit{Limit: m.Limit, Value: m.Value, Why: m.Why})
	}
	return limits
}

// requested is what the user asked for, by option; nil for nothing.
func (l Limits) requested() map[string]string {
	asked := map[string]string{}
	for name, n := range map[string]int64{
		cgroup.Memory: l.MemoryBytes, cgroup.Swap: l.SwapBytes, cgroup.Pids: l.Pids, cgroup.IOWeight: int64(l.IOWeight),
	} {
		if n != 0 {
			asked[name] = strconv.FormatInt(n, 10)
		}
	}
	if l.NanoCPUs > 0 {
		asked[cgroup.CPUs] = cgroup.FormatCPUs(l.NanoCPUs)
	}
	if len(l.CPUSet) > 0 {
		asked[cgroup.CPUSet] = cgroup.FormatCPUSet(l.CPUSet)
	}
	if l.OOMScoreAdj != nil {
		asked[oomScoreAdj] = strconv.Itoa(*l.OOMScoreAdj)
	}
	for _, u := range l.Ulimits {
		asked["ulimit "+u.Name] = u.value()
	}
	if len(asked) == 0 {
		return nil
	}
	return asked
}

// Measurable is the job's control group, if its memory is counted there; nil: the job is measured by its processes.
func (h Held) Measurable() *metrics.Cgroup {
	if g := h.Group; g.Counts("memory") {
		return &metrics.Cgroup{Unified: g.Unified(), V1: g.V1()}
	}
	return nil
}

// Explain says of a start that failed whether the limit of memory was in its way.
func (h Held) Explain(err error) error {
	if kills := h.Group.OOMKills(); kills > 0 && errors.Is(err, container.ErrStart) {
		return fmt.Errorf("its memory limit does not suffice to start it: %w", err)
	}
	return err
}

// Reclaim removes what held a dead run and is left of it, by what its lease or its mark says.
func Reclaim(lease store.Lease) error {
	if lease.Scope != "" {
		return cgroup.StopScope(context.Background(), cgroup.Unit{Name: lease.Scope, Bus: lease.Bus})
	}
	return cgroup.Remove(lease.Cgroups)
}
