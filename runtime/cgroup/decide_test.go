package cgroup

import (
	"strings"
	"testing"
)

// TestDecide is the whole of the choice between ways, for one who asks for memory and CPUs.
func TestDecide(t *testing.T) {
	limits := Limits{MemoryBytes: 1 << 30, NanoCPUs: 1e9}
	own := func(writable bool, controllers ...string) Place {
		return Place{Dir: "/own", Writable: writable, Busy: true, Controllers: controllers}
	}
	above := func(writable bool, controllers ...string) Place {
		return Place{Dir: "/above", Writable: writable, Controllers: controllers, Passed: controllers}
	}
	manager := func(controllers ...string) *Manager { return &Manager{Controllers: controllers} }
	v1 := func(writable bool) map[string]V1 {
		return map[string]V1{"memory": {"/m", writable}, "cpu": {"/c", writable}, "blkio": {"/b", writable}}
	}
	const both, v2 = "memory by X, memory-swap by X, cpus by X", "cgroup-v2"
	all := func(way, by string) string { return way + ": " + strings.ReplaceAll(both, "X", by) }
	for _, c := range []struct {
		name string
		host Host
		want string
	}{
		{"no control groups", Host{}, "stay: no memory, no cpus"},
		{"v1, as root", Host{V1: v1(true)}, all("v1", byV1)},
		{"v1, as a user", Host{V1: v1(false)}, "stay: no memory, no cpus"},
		{"v1, with a little of it", Host{V1: map[string]V1{"memory": {"/m", true}, "cpu": {"/c", false}}},
			"v1: memory by cgroup-v1, memory-swap by cgroup-v1, no cpus"},
		{"a user of a session, no manager", Host{Unified: &Unified{Own: own(false, "memory"), Parent: above(false, "memory")}, Booted: true},
			"stay: no memory, no cpus"},
		{"a user of a session, with a manager", Host{Unified: &Unified{Own: own(false), Parent: above(false)}, Manager: manager("memory", "cpu"), Booted: true},
			all("systemd", bySystemd)},
		{"a manager with the default controllers", Host{Unified: &Unified{Own: own(false), Parent: above(false)}, Manager: manager("memory", "pids"), Booted: true},
			"systemd: memory by systemd, memory-swap by systemd, pids-limit by systemd, no cpus"},
		{"a unit of the manager's: it is asked", Host{Unified: &Unified{Own: own(true, "memory", "cpu"), Parent: above(true, "memory", "cpu")}, Manager: manager("memory", "cpu"), Booted: true},
			all("systemd", bySystemd)},
		{"one that was delegated: it is divided", Host{Unified: &Unified{Own: own(true, "memory", "cpu"), Parent: above(true, "memory", "cpu"), Delegated: true}, Manager: manager("memory", "cpu"), Booted: true},
			all("divide", v2)},
		{"below one that was delegated", Host{Unified: &Unified{Own: own(true), Parent: above(true, "memory", "cpu"), Delegated: true, Above: true}, Manager: manager("memory", "cpu"), Booted: true},
			all("sibling", v2)},
		{"one that was delegated without CPUs, and a manager that has them", Host{Unified: &Unified{Own: own(true, "memory"), Parent: above(false), Delegated: true}, Manager: manager("memory", "cpu"), Booted: true},
			all("systemd", bySystemd)},
		{"the same with a limit around it, which is not escaped", Host{Unified: &Unified{Own: own(true, "memory"), Parent: above(false), Delegated: true, Limited: true}, Manager: manager("memory", "cpu"), Booted: true},
			"divide: memory by cgroup-v2, memory-swap by cgroup-v2, no cpus"},
		{"in a batch job there is no manager", Host{Unified: &Unified{Own: own(false), Parent: above(false)}, Manager: manager("memory", "cpu"), Booted: true, Batch: "PBS"},
			"stay: no memory, no cpus"},
		{"nor a place beside it", Host{Unified: &Unified{Own: own(true, "memory"), Parent: above(true, "memory", "cpu")}, Batch: "PBS"},
			"divide: memory by cgroup-v2, memory-swap by cgroup-v2, no cpus"},
		{"root in a container", Host{Unified: &Unified{Own: own(true, "memory", "cpu"), Parent: Place{}}},
			all("divide", v2)},
	} {
		if got := summary(c.host.Decide(limits, nil)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if c.host.Advice() == "" {
			t.Errorf("%s: no advice", c.name)
		}
	}
}

// TestDecideAfterAFailure goes other ways, and says what was the matter when there is none.
func TestDecideAfterAFailure(t *testing.T) {
	h := Host{Unified: &Unified{Own: Place{Dir: "/own"}, Parent: Place{Dir: "/"}}, Manager: &Manager{Controllers: []string{"memory"}}}
	vain := map[Way]string{Scope: "asking systemd: it does not answer"}
	p := h.Decide(Limits{MemoryBytes: 1 << 30}, vain)
	if p.Way != Stay || len(p.Missing) != 1 || p.Missing[0].Why != vain[Scope] {
		t.Errorf("%s, %+v", summary(p), p.Missing)
	}
	h.Unified.Own = Place{Dir: "/own", Writable: true, Controllers: []string{"memory"}}
	if p := h.Decide(Limits{MemoryBytes: 1 << 30}, vain); p.Way != Divide {
		t.Errorf("%s", summary(p))
	}
}

func TestScopeProperties(t *testing.T) {
	got := map[string]any{}
	for _, p := range (&Manager{Slice: "user-0.slice"}).properties(4) {
		got[p.Name] = p.Value.Value()
	}
	for name, want := range map[string]any{"Delegate": true, "TasksMax": ^uint64(0), "Slice": "user-0.slice", "CollectMode": "inactive-or-failed"} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if pids, ok := got["PIDs"].([]uint32); !ok || len(pids) != 1 || pids[0] != 4 {
		t.Errorf("PIDs %v", got["PIDs"])
	}
}

func TestSliceOf(t *testing.T) {
	for path, want := range map[string]string{
		"/user.slice/user-0.slice/session-1.scope": "user-0.slice", "/system.slice/cron.service": "system.slice", "/": "", "/init.scope": "",
	} {
		if got := sliceOf(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestLocate: paths below a user manager's own group.
func TestLocate(t *testing.T) {
	type place struct {
		slice, unit string
		beneath     bool
	}
	for path, want := range map[string]place{
		"app.slice/run-1.scope":                    {"app.slice", "run-1.scope", false},
		"app.slice/app-term.slice/a.service":       {"app-term.slice", "a.service", false},
		"app.slice/run-1.scope/coracle.rest":       {"app.slice", "run-1.scope", true},
		"app.slice/a.service/theirs.slice/b.scope": {"app.slice", "a.service", true},
		"init.scope":    {"", "init.scope", false},
		"session.slice": {"session.slice", "", false},
		"app.slice/of somebody's who has the group to divide": {"app.slice", "", false},
		"": {},
	} {
		var got place
		if got.slice, got.unit, got.beneath = locate(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func TestV1Places(t *testing.T) {
	const mountinfo = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	mounts := mountsV1(mountinfo)
	for name, want := range map[string]mountV1{
		"cpu": {"/sys/fs/cgroup/cpu,cpuacct", "/"}, "cpuacct": {"/sys/fs/cgroup/cpu,cpuacct", "/"}, "memory": {"/sys/fs/cgroup/memory", "/docker/abc"},
	} {
		if mounts[name] != want {
			t.Errorf("%s: %+v, want %+v", name, mounts[name], want)
		}
	}
	paths := parseSelf("4:memory:/docker/abc\n2:cpu,cpuacct:/x\n0::/y\n")
	if paths["memory"] != "/docker/abc" || paths["cpuacct"] != "/x" || paths[""] != "/y" {
		t.Errorf("%v", paths)
	}
}

func TestSlurmIsKnownByItsGroups(t *testing.T) {
	for path, want := range map[string]string{
		"/system.slice/slurmstepd.scope/job_1/step_0/user/task_0": "Slurm", "/slurm/uid_1000/job_7/step_batch": "Slurm",
		"/system.slice/n1_slurmstepd.scope/job_1/step_0": "Slurm", "/user.slice/user-1000.slice/session-1.scope": "", "/": "",
	} {
		if got := schedulerOf(map[string]string{"": path}); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}
