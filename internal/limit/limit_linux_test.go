package limit

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/runtime/cgroup"
)

func TestThreads(t *testing.T) {
	for _, c := range []struct {
		name      string
		limits    cgroup.Limits
		ours      int
		quota     float64
		allocated int
		want      int
	}{
		{"all of ours", cgroup.Limits{}, 8, 0, 0, 8},
		{"a part of a CPU is one", cgroup.Limits{NanoCPUs: 2_500_000_000}, 8, 0, 0, 3},
		{"less than one", cgroup.Limits{NanoCPUs: 1}, 8, 0, 0, 1},
		{"some of ours", cgroup.Limits{CPUSet: []int{1, 3}}, 8, 0, 0, 2},
		{"a group around", cgroup.Limits{NanoCPUs: 6e9}, 8, 3.5, 0, 4},
		{"the scheduler's", cgroup.Limits{}, 8, 6, 2, 2},
		{"no more than there are", cgroup.Limits{NanoCPUs: 64e9}, 4, 0, 16, 4},
	} {
		if got := threads(Limits{Limits: c.limits}, c.ours, c.quota, c.allocated); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestHalfOfTheMemoryIsShared(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		own, around, allocated, machine, want int64
	}{
		{0, 0, 0, 64 * gib, 32 * gib},
		{8 * gib, 0, 0, 64 * gib, 4 * gib},
		{8 * gib, 4 * gib, 6 * gib, 64 * gib, 2 * gib},
		{0, 0, 16 * gib, 64 * gib, 8 * gib},
	} {
		var limits Limits
		limits.MemoryBytes = c.own
		around := cgroup.Host{Encloses: cgroup.Enclosing{MemoryBytes: c.around}}
		if got := shmBytes(limits, around, sched.Allocation{MemoryBytes: c.allocated}, host.Facts{MemoryBytes: c.machine}); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestWhatDoesNotHold is told once, in one line, and is an error where the user wants it so.
func TestWhatDoesNotHold(t *testing.T) {
	h := Held{Group: &cgroup.Group{}, missing: []cgroup.Missing{
		{Limit: cgroup.Memory, Value: "8589934592", Why: "no delegated control group"}, {Limit: cgroup.Pids, Value: "100", Why: "no delegated control group"},
		{Limit: oomScoreAdj, Value: "-5", Why: "only root can"},
	}}
	var said []string
	notice := func(text string) { said = append(said, text) }
	if err := h.tellMissing(cgroup.Host{}, notice); err != nil {
		t.Error(err)
	}
	const what = "--memory 8g, --pids-limit 100 (no delegated control group); --oom-score-adj -5 (only root can)"
	if len(said) != 1 || !strings.HasPrefix(said[0], "not enforced: "+what) {
		t.Errorf("%q", said)
	}
	h.asked.Require = true
	err := h.tellMissing(cgroup.Host{}, notice)
	if !errors.Is(err, ErrNotEnforced) || err.Error() != "--require-limits: not enforced: "+what || len(said) != 1 {
		t.Errorf("%v, %q", err, said)
	}
	whole := Held{Group: &cgroup.Group{}}
	if err := whole.tellMissing(cgroup.Host{}, notice); err != nil || len(said) != 1 {
		t.Errorf("of a job to which all holds: %v, %q", err, said)
	}
}

// TestCPUsByAffinity: where no control group holds a job to its CPUs, its affinity does, and that is said.
func TestCPUsByAffinity(t *testing.T) {
	h := Held{Group: &cgroup.Group{}, missing: []cgroup.Missing{{Limit: cgroup.Memory, Value: "1"}, {Limit: cgroup.CPUSet, Value: "0"}}}
	h.asked.CPUSet = []int{0}
	h.bind([]int{0, 1})
	if !slices.Equal(h.CPUs, []int{0}) || len(h.missing) != 1 || len(h.enforced) != 1 || h.enforced[0].Mechanism != cgroup.ByAffinity {
		t.Errorf("%+v", h)
	}
}
