package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

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

// held is what holds a job.
type held struct {
	group    *cgroup.Group
	enforced []cgroup.Enforced // by other means than the group
	missing  []cgroup.Missing
	cpus     []int      // that the job is to be bound to; nil: none
	around   string     // our own directory of the memory controller; ""
	threads  int        // that it is told to use; 0: nothing
	until    *time.Time // when the batch job ends; nil: nobody says

	foreseen func() error // takes back what was noted of the group's scope; nil: nothing was
}

// limit decides how the job is to be held to its limits, tells the user what cannot be, and completes the options with what
// follows: the resources, the size of /dev/shm. Nothing of the job runs yet.
func (r *Runner) limit(ctx context.Context, o *Options, facts host.Facts, id string, keeper *container.Prepared) (_ held, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return held{}, fmt.Errorf("asking which CPUs are ours: %w", err)
	}
	ours := listCPUs(&set)
	if err := o.Limits.Check(ours); err != nil {
		return held{}, fmt.Errorf("%w: %w", spec.ErrOption, err)
	}
	around := cgroup.Read(cgroup.Look{Batch: sched.Batch(r.Environ), Full: o.Limits.groups()})
	allocated := sched.Allocated(r.Environ)
	h := held{until: sched.Until(r.Environ)}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.forget())
		}
	}()
	foresee := func(u cgroup.Unit) (err error) {
		h.foreseen, err = r.Store.Mark(store.Lease{Scope: u.Name, Bus: u.Bus})
		return err
	}
	h.group = around.Arrange(ctx, o.Limits.Limits, cgroup.Job{ID: id, Pid: keeper.Pid, Foresee: foresee})
	h.missing = h.group.Missing
	h.around = cmp.Or(around.Places()["memory"], around.Places()[""])
	h.bind(o.Limits, ours)
	h.limitProcesses(o)
	if err := h.judge(r, o.Limits, around); err != nil {
		return held{}, err
	}
	h.threads = threads(o.Limits, len(ours), around.Encloses.CPUs, allocated.CPUs)
	if h.threads >= host.OnlineCPUs() {
		h.threads = 0
	}
	o.Spec.Threads = h.threads
	if o.Spec.ShmBytes == 0 {
		o.Spec.ShmBytes = shmBytes(o.Limits, around, allocated, facts)
	}
	return h, nil
}

// forget takes back what was noted of a scope, when that goes with the run. One that the manager has made in vain is the next command's
// to stop.
func (h held) forget() error {
	if h.foreseen == nil || h.group.Way != cgroup.Scope {
		return nil
	}
	return h.foreseen()
}

// memory is the least of several limits, of which 0 is none.
func memory(limits ...int64) (least int64) {
	for _, bytes := range limits {
		if bytes > 0 && (least == 0 || bytes < least) {
			least = bytes
		}
	}
	return least
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
func (h *held) bind(l Limits, ours []int) {
	if len(l.CPUSet) == 0 {
		if len(ours) < host.OnlineCPUs() {
			h.cpus = ours
		}
		return
	}
	h.cpus = l.CPUSet
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

// record is what holds the job, for its record.
func (h held) record(o Options) record.Limits {
	limits := record.Limits{
		ShmBytes: o.Spec.ShmBytes, Threads: h.threads, Requested: o.Limits.requested(), TimeoutSeconds: o.Watch.Timeout.Seconds(), Until: h.until,
	}
	for _, list := range [][]cgroup.Enforced{h.group.Enforced, h.enforced} {
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

// measurable is the job's control group, if its memory is counted there; nil: the job is measured by its processes.
func (h held) measurable() *metrics.Cgroup {
	if g := h.group; g.Counts("memory") {
		return &metrics.Cgroup{Unified: g.Unified(), V1: g.V1()}
	}
	return nil
}

// explain says of a start that failed whether the limit of memory was in its way.
func (h held) explain(err error) error {
	if kills := h.group.OOMKills(); kills > 0 && errors.Is(err, container.ErrStart) {
		return fmt.Errorf("%w: its memory limit does not suffice to start it: %w", ErrLimit, err)
	}
	return err
}

// removeGroup removes the job's control group, when everything in it has ended: the keeper, too.
func (a *attempt) removeGroup(box *container.Container) error {
	if box != nil && len(a.held.group.Leftovers()) > 0 {
		box.Gone()
	}
	return a.held.group.Remove()
}

// FollowDead removes what a dead run left outside of the store.
func FollowDead(lease store.Lease) error {
	if lease.Scope != "" {
		return cgroup.StopScope(context.Background(), cgroup.Unit{Name: lease.Scope, Bus: lease.Bus})
	}
	return cgroup.Remove(lease.Cgroups)
}
