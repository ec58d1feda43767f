package cgroup

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// everything is one of each limit.
var everything = Limits{NanoCPUs: 5e8, CPUSet: []int{0}, MemoryBytes: 200 << 20, Pids: 50, IOWeight: 100}

// all are the controllers that everything takes.
var all = []string{"cpuset", "cpu", "io", "memory", "pids"}

const allByV2 = "memory by cgroup-v2, memory-swap by cgroup-v2, cpus by cgroup-v2, cpuset-cpus by cgroup-v2, pids-limit by cgroup-v2, io-weight by cgroup-v2"

// checkFiles looks at what the kernel was told about a job.
func checkFiles(f *fake, group string) {
	f.t.Helper()
	for name, want := range map[string]string{
		"memory.max": "209715200", "memory.swap.max": "209715200", "memory.oom.group": "1", "cpu.max": "50000 100000", "cpuset.cpus": "0",
		"pids.max": "50", "io.weight": "910", "cgroup.procs": "77",
	} {
		if got := f.file(group, name); got != want {
			f.t.Errorf("%s of %s is %q, want %q", name, group, got, want)
		}
	}
}

// TestDivide: the caller's shell sits in the group that was delegated, and cannot stay there.
func TestDivide(t *testing.T) {
	f := newFake(t, "/a/mine", all...)
	f.pass("/", all...)
	f.pass("/a", all...)
	f.deny("a")
	g, path := f.run(f.look(Look{Full: true}), everything)
	if path != "/a/mine/coracle-ID" || summary(g.Plan) != "divide: "+allByV2 {
		t.Fatalf("%s, %s", path, summary(g.Plan))
	}
	checkFiles(f, path)
	if got := f.file("/a/mine/"+restName, "cgroup.procs"); got != "1\n2" {
		t.Errorf("the shell is not out of the way: %q", got)
	}

	f.set("sys/fs/cgroup"+path+"/cgroup.procs", "")
	if err := g.Remove(); err != nil {
		t.Fatal(err)
	}
	// The next run finds the shell there, and the group above free to be divided.
	f.set("proc/self/cgroup", "0::/a/mine/"+restName+"\n")
	next, path := f.run(f.look(Look{}), Limits{})
	if path != "/a/mine/coracle-ID" || summary(next.Plan) != "sibling: pids-limit by cgroup-v2" {
		t.Errorf("%s, %s", path, summary(next.Plan))
	}
}

func TestSibling(t *testing.T) {
	f := newFake(t, "/a/mine", all...)
	f.pass("/", all...)
	g, path := f.run(f.look(Look{Full: true}), everything)
	if path != "/a/coracle-ID" || summary(g.Plan) != "sibling: "+allByV2 {
		t.Fatalf("%s, %s", path, summary(g.Plan))
	}
	checkFiles(f, path)
	if got := f.file("/a/mine", "cgroup.procs"); got != "1\n2" {
		t.Errorf("the caller was moved: %q", got)
	}
	if got := g.Leftovers(); len(got) != 1 || got[0] != f.path(path) {
		t.Errorf("leftovers %q", got)
	}
	f.set("sys/fs/cgroup"+path+"/cgroup.procs", "")
	if err := g.Remove(); err != nil || exists(f.path(path)) {
		t.Errorf("removing: %v", err)
	}
}

// TestDivideScope: a scope that a manager has made with our process in it, without all controllers. The process is beside the job's
// group at first and in the end, so that systemd leaves the scope alone.
func TestDivideScope(t *testing.T) {
	f := newFake(t, "/app/coracle-ID.scope", all...)
	f.pass("/", "memory", "pids")
	f.pass("/app", "memory", "pids")
	f.set("sys/fs/cgroup/app/coracle-ID.scope/cgroup.procs", "77\n")
	g := &Group{Plan: Plan{Way: Scope, Enable: all}, kernel: f}
	g.take(everything.wants())
	if err := g.divideScope(f.path("/app/coracle-ID.scope"), "coracle-ID"); err != nil {
		t.Fatal(err)
	}
	const want = "systemd: memory by systemd, memory-swap by systemd, pids-limit by systemd, no cpus, no cpuset-cpus, no io-weight"
	if got := summary(g.Plan); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	const job, rest = "/app/coracle-ID.scope/coracle-ID", "/app/coracle-ID.scope/" + restName
	at := func(where string) {
		t.Helper()
		for _, group := range []string{"/app/coracle-ID.scope", job, rest} {
			if in := strings.TrimSpace(f.file(group, "cgroup.procs")) == "77"; in != (group == where) {
				t.Errorf("our process is in %s: %v", group, in)
			}
		}
	}
	at(rest)
	if err := g.Enter(77); err != nil {
		t.Fatal(err)
	}
	at(job)
	if f.file(job, "memory.max") != "209715200" || f.file(job, "memory.oom.group") != "1" || f.file(job, "pids.max") != "50" {
		t.Errorf("the job's group has not its limits")
	}
	if !g.Counts("memory") || g.Counts("cpu") || g.Unified() != f.path(job) {
		t.Errorf("what counts: %v, %v in %s", g.Counts("memory"), g.Counts("cpu"), g.Unified())
	}
	g.Release()
	at(rest)
	if err := g.Remove(); err != nil || len(g.Leftovers()) != 0 || !exists(f.path(job)) {
		t.Errorf("a scope is systemd's to remove: %v, %q", err, g.Leftovers())
	}
}

// TestLimitsOfOurOwn are not escaped by a group beside ours.
func TestLimitsOfOurOwn(t *testing.T) {
	f := newFake(t, "/a/mine", all...)
	f.pass("/", all...)
	f.pass("/a", all...)
	f.set("sys/fs/cgroup/a/mine/memory.max", "1073741824\n")
	h := f.look(Look{Full: true})
	g, path := f.run(h, everything)
	if path != "/a/mine/coracle-ID" {
		t.Errorf("%s, %s", path, summary(g.Plan))
	}
	if h.Encloses.MemoryBytes != 1<<30 {
		t.Errorf("%+v", h.Encloses)
	}
}

func TestTheRootOfAll(t *testing.T) {
	f := newFake(t, "/", all...)
	g, path := f.run(f.look(Look{Full: true}), everything)
	if path != "/coracle-ID" || summary(g.Plan) != "below: "+allByV2 {
		t.Fatalf("%s, %s", path, summary(g.Plan))
	}
	checkFiles(f, path)
}

// TestNothingAskedFor: where it would take changing what is ours, the job has no group of its own.
func TestNothingAskedFor(t *testing.T) {
	for _, denied := range [][]string{{"a"}, {"a", "a/mine"}} {
		f := newFake(t, "/a/mine", all...)
		f.deny(denied...)
		g, path := f.run(f.look(Look{}), Limits{})
		if path != "" || summary(g.Plan) != "stay: " || len(g.Leftovers()) != 0 {
			t.Errorf("%s, %s", path, summary(g.Plan))
		}
		if got := f.file("/a/mine", "cgroup.subtree_control") + f.file("/a/mine", "cgroup.procs"); got != "1\n2" {
			t.Errorf("our own group was changed: %q", got)
		}
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// TestSomeControllers: what is delegated holds, and what is not is named.
func TestSomeControllers(t *testing.T) {
	f := newFake(t, "/a/mine", all...)
	f.pass("/", "memory", "pids")
	f.pass("/a", "memory", "pids")
	f.deny("a")
	g, _ := f.run(f.look(Look{Full: true}), everything)
	const want = "divide: memory by cgroup-v2, memory-swap by cgroup-v2, pids-limit by cgroup-v2, no cpus, no cpuset-cpus, no io-weight"
	if got := summary(g.Plan); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, m := range g.Missing {
		if !strings.Contains(m.Why, "not delegated") {
			t.Errorf("%+v", m)
		}
	}
}

// TestNothingToGain: nobody is moved for a group that would hold nothing.
func TestNothingToGain(t *testing.T) {
	f := newFake(t, "/a/mine", "cpu")
	f.deny("a")
	g, path := f.run(f.look(Look{Full: true}), Limits{MemoryBytes: 1 << 30})
	if path != "" || summary(g.Plan) != "stay: no memory" {
		t.Errorf("%s, %s", path, summary(g.Plan))
	}
	if exists(f.path("/a/mine/" + restName)) {
		t.Error("our shell was moved for nothing")
	}
}

// TestAWayThatFails is not gone again, and what was the matter is said.
func TestAWayThatFails(t *testing.T) {
	f := newFake(t, "/a/mine", all...)
	f.pass("/", all...)
	f.pass("/a", all...)
	f.deny("a")
	f.fail["cgroup.subtree_control"] = unix.EBUSY
	g, path := f.run(f.look(Look{Full: true}), Limits{MemoryBytes: 1 << 30})
	if path != "" || g.Way != Stay || len(g.Missing) != 1 || !strings.Contains(g.Missing[0].Why, "busy") {
		t.Fatalf("%s, %s, %+v", path, summary(g.Plan), g.Missing)
	}
}

func TestAJobThatCannotBeHeld(t *testing.T) {
	f := newFake(t, "/", all...)
	f.fail["memory.max"] = unix.EINVAL
	enter := func(l Limits) (*Group, error) {
		g := f.look(Look{Full: true}).Arrange(context.Background(), l, Job{ID: "ID"})
		return g, g.Enter(77)
	}
	if _, err := enter(Limits{MemoryBytes: 1 << 30}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("%v", err)
	}
	if exists(f.path("/coracle-ID")) {
		t.Error("its group stays")
	}
	// Where nobody has asked, the job goes on without a group.
	f.fail = map[string]error{"cgroup.procs": unix.EPERM}
	if g, err := enter(Limits{}); err != nil || g.Unified() != "" || len(g.Enforced) != 0 {
		t.Errorf("%v, %s", err, summary(g.Plan))
	}
	// The kernel may not count swap.
	f.fail = map[string]error{"memory.swap.max": unix.ENOENT}
	g, err := enter(Limits{MemoryBytes: 1 << 30})
	if err != nil || strings.Contains(summary(g.Plan), "swap") {
		t.Errorf("%v, %s", err, summary(g.Plan))
	}
}

// TestBatch: of a scheduler's job only what was given to it is divided.
func TestBatch(t *testing.T) {
	const task = "/system.slice/slurmstepd.scope/job_1/step_0/user/task_0"
	f := newFake(t, task, all...)
	h := f.look(Look{Full: true})
	if h.Batch != "Slurm" {
		t.Fatalf("%+v", h)
	}
	h.Manager = &Manager{Controllers: all}
	p := h.Decide(everything, nil)
	if p.Way != Stay || len(p.Missing) != 5 || !strings.Contains(p.Missing[0].Why, "Slurm") || !strings.Contains(h.Advice(), "--mem") {
		t.Errorf("%s, %+v", summary(p), p.Missing)
	}
}

func TestEnclosing(t *testing.T) {
	f := newFake(t, "/a/b/c", all...)
	f.set("sys/fs/cgroup/a/memory.max", "2000\n")
	f.set("sys/fs/cgroup/a/b/memory.max", "3000\n")
	f.set("sys/fs/cgroup/a/b/c/memory.max", "max\n")
	f.set("sys/fs/cgroup/a/cpu.max", "150000 100000\n")
	f.set("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
	if got, want := f.look(Look{}).Encloses, (Enclosing{MemoryBytes: 2000, CPUs: 1.5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
