package cgroup

import (
	"fmt"
	"slices"
	"strings"
)

// Way is how a job gets a group of its own.
type Way string

// The ways.
const (
	Stay    Way = "stay"    // not at all: it stays in ours
	Below   Way = "below"   // cgroup v2, below ours, which may have both processes and children
	Sibling Way = "sibling" // cgroup v2, beside ours
	Divide  Way = "divide"  // cgroup v2, below ours; what is in ours goes into another one below it
	Scope   Way = "systemd" // a scope that the systemd manager makes
	Each    Way = "v1"      // cgroup v1, below ours of each controller
)

// Mechanisms, for the record.
const (
	byV2       = "cgroup-v2"
	bySystemd  = "systemd"
	byV1       = "cgroup-v1"
	ByAffinity = "affinity" // which the job can change
	ByRlimit   = "rlimit"
	ByProcess  = "process" // an attribute of the job's first process that its children inherit
)

// Enforced is one limit that holds.
type Enforced struct {
	Limit, Value, Mechanism string
}

// Missing is one limit that the user asked for and that does not hold.
type Missing struct {
	Limit, Value, Why string
}

// Plan is a way, and what comes of going it.
type Plan struct {
	Way      Way
	Base     string   // where the group is made, of v2
	Enable   []string // controllers that have to be handed to the groups below Base first
	Enforced []Enforced
	Missing  []Missing

	wants []want // that hold
}

// Decide chooses a way: the one that holds the job to most of what was asked for, and of several the one that changes least.
// Ways that were tried in vain are given with what was the matter.
func (h Host) Decide(l Limits, vain map[Way]string) Plan {
	wants := l.wants()
	best := Plan{Way: Stay}
	for _, p := range h.ways(asked(wants), vain) {
		p.take(wants)
		if len(p.wants) == 0 || p.asked() == 0 && (p.Way == Divide || p.Way == Scope) {
			continue // much ado for nothing: a group without controllers counts no more than the job's processes tell
		}
		if best.Way == Stay || p.asked() > best.asked() {
			best = p
		}
	}
	if best.Way == Stay {
		best.take(nil)
	}
	best.lack(h, wants, vain)
	return best
}

// ways are those that are open, with the controllers that each can offer in Enable; best ones first.
func (h Host) ways(asked bool, vain map[Way]string) (plans []Plan) {
	offer := func(way Way, base string, controllers []string) {
		if _, tried := vain[way]; !tried {
			plans = append(plans, Plan{Way: way, Base: base, Enable: controllers})
		}
	}
	if h.writableV1() {
		offer(Each, "", nil)
	}
	u := h.Unified
	if u == nil {
		return h.onlyV1(plans)
	}
	manager := h.Manager
	if _, tried := vain[Scope]; tried {
		manager = nil
	}
	// What is the manager's to divide it may change at any time. Where there is one to ask, it is asked.
	ours := func(delegated bool) bool { return delegated || manager == nil && (asked || !h.Booted) }
	if u.Parent.Writable && !u.Root && (u.Rest || h.Batch == "" && !u.Limited) && ours(u.Above) {
		offer(Sibling, u.Parent.Dir, u.Parent.offers(asked))
	}
	if u.Root && u.Own.Writable && ours(u.Delegated) {
		controllers := u.Own.Passed
		if asked {
			controllers = u.Own.Controllers
		}
		offer(Below, u.Own.Dir, controllers)
	}
	if asked && u.Own.Writable && !u.Root && (ours(u.Delegated) || u.Limited) {
		offer(Divide, u.Own.Dir, u.Own.Controllers)
	}
	if asked && manager != nil && h.Batch == "" && (!u.Limited || !u.Own.Writable) {
		offer(Scope, "", manager.Controllers)
	}
	return plans
}

// onlyV1 leaves away the ways that need cgroup v2.
func (h Host) onlyV1(plans []Plan) []Plan {
	for i := range plans {
		for name, own := range h.V1 {
			if own.Writable {
				plans[i].Enable = append(plans[i].Enable, controllerOfV2(name))
			}
		}
		slices.Sort(plans[i].Enable)
	}
	return plans
}

// controllerOfV2 is the name of a v1 controller in v2, in whose terms limits are.
func controllerOfV2(name string) string {
	if name == "blkio" {
		return "io"
	}
	return name
}

// offers are the controllers that groups in a place can have. With processes in it, it can hand down no more than it does.
func (p Place) offers(asked bool) []string {
	if p.Busy || !asked {
		return p.Passed
	}
	return p.Controllers
}

// mechanism is what the record says of limits that hold by a way.
func (w Way) mechanism() string {
	switch w {
	case Each:
		return byV1
	case Scope:
		return bySystemd
	}
	return byV2
}

// take has a plan hold what its controllers, which are in Enable, can hold; those that it does not need are left out.
func (p *Plan) take(wants []want) {
	var needed []string
	for _, w := range wants {
		if !contains(p.Enable, w.controller) {
			continue
		}
		p.wants = append(p.wants, w)
		p.Enforced = append(p.Enforced, Enforced{w.limit, w.value, p.Way.mechanism()})
		if !contains(needed, w.controller) {
			needed = append(needed, w.controller)
		}
	}
	p.Enable = needed
}

// asked counts what of the plan the user asked for.
func (p *Plan) asked() (n int) {
	for _, w := range p.wants {
		if !w.quiet {
			n++
		}
	}
	return n
}

// lack says of what was asked for and does not hold why.
func (p *Plan) lack(h Host, wants []want, vain map[Way]string) {
	for _, w := range wants {
		held := slices.ContainsFunc(p.wants, func(have want) bool { return have.limit == w.limit })
		if !held && !w.quiet {
			p.Missing = append(p.Missing, Missing{w.limit, w.value, h.why(w, p.Way, vain)})
		}
	}
}

// why says why a limit does not hold.
func (h Host) why(w want, way Way, vain map[Way]string) string {
	switch {
	case way != Stay:
		return fmt.Sprintf("the controller %s is not delegated to you", w.controller)
	case h.Batch != "":
		return fmt.Sprintf("in a job of %s its own limits hold, and its control group is not yours to divide", h.Batch)
	case len(vain) > 0:
		var reasons []string
		for _, reason := range vain {
			reasons = append(reasons, reason)
		}
		slices.Sort(reasons)
		return strings.Join(reasons, "; ")
	case h.Unified == nil && len(h.V1) > 0:
		return "this host has cgroup v1, where only root can limit"
	case h.Unified == nil:
		return "this host shows no control groups"
	case h.Manager == nil && !h.Unified.Own.Writable:
		return "your control group is not yours to divide, and you have no systemd user manager to ask"
	}
	return fmt.Sprintf("the controller %s is not delegated to you", w.controller)
}

// DropIn is the file by which an administrator hands users the controllers of cgroup v2 (systemd.resource-control(5)).
const DropIn = "/etc/systemd/system/user@.service.d/delegate.conf"

// Advice says what would have the missing limits hold.
func (h Host) Advice() string {
	const lines = `"[Service]" and "Delegate=cpu cpuset io memory pids"`
	switch {
	case h.Batch == "Slurm":
		return "ask Slurm for them: --mem, --cpus-per-task"
	case h.Batch != "":
		return "ask " + h.Batch + " for them"
	case h.Unified == nil:
		return "ask the administrator to boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1) and write " + DropIn + " with the lines " + lines
	}
	return "ask the administrator for " + DropIn + " with the lines " + lines
}
