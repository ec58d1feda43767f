package cgroup

import (
	"slices"
	"strings"
	"testing"
)

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1e9, "0.5": 5e8, "1.5": 15e8, ".25": 25e7, "2.": 2e9, "0": 0, "1e1": 1e10, "0.000000001": 1, "64": 64e9,
	} {
		if got, err := ParseCPUs(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1/2", "0x10", "1_0", "0.0000000001", "1e30", "NaN", "Inf", "1 ", "half"} {
		if got, err := ParseCPUs(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestParseCPUSet(t *testing.T) {
	for text, want := range map[string][]int{
		"0": {0}, "0-3": {0, 1, 2, 3}, "3,1": {1, 3}, "0-2,1-3,7": {0, 1, 2, 3, 7}, "0,0": {0},
	} {
		got, err := ParseCPUSet(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
		again, err := ParseCPUSet(FormatCPUSet(got))
		if err != nil || !slices.Equal(again, got) {
			t.Errorf("%q as %q: %v, %v", text, FormatCPUSet(got), again, err)
		}
	}
	for _, text := range []string{"", "-", "1-", "-1", "3-1", "a", "0,,1", "0-99999999", "65536", "1 2", "0-0-0"} {
		if got, err := ParseCPUSet(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got := FormatCPUSet([]int{0, 1, 2, 5, 7, 8}); got != "0-2,5,7-8" {
		t.Error(got)
	}
}

func TestCheck(t *testing.T) {
	two := []int{0, 1}
	for _, good := range []Limits{
		{}, {NanoCPUs: 1e7}, {NanoCPUs: 2e9}, {CPUSet: []int{1}}, {MemoryBytes: 6 << 20}, {MemoryBytes: 1 << 30, SwapBytes: Unlimited},
		{MemoryBytes: 1 << 30, SwapBytes: 1 << 30}, {Pids: Unlimited}, {Pids: 5}, {IOWeight: 10}, {IOWeight: 1000},
	} {
		if err := good.Check(two); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, c := range []struct {
		limits Limits
		says   string
	}{
		{Limits{NanoCPUs: 1}, "from 0.01 to 2.00"},
		{Limits{NanoCPUs: 2e9 + 1}, "only 2 CPUs available"},
		{Limits{CPUSet: []int{0, 1, 2}}, "requested 0-2, available: 0-1"},
		{Limits{MemoryBytes: 6<<20 - 1}, "6MB"},
		{Limits{SwapBytes: 1 << 30}, "always set the memory limit"},
		{Limits{MemoryBytes: 1 << 30, SwapBytes: 1<<30 - 1}, "larger than memory limit"},
		{Limits{IOWeight: 9}, "10 to 1000"},
		{Limits{IOWeight: 1001}, "10 to 1000"},
		{Limits{Pids: -2}, "--pids-limit"},
	} {
		if err := c.limits.Check(two); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.limits, err, c.says)
		}
	}
}

func TestWants(t *testing.T) {
	files := func(lists [][]file) (text []string) {
		for _, alternatives := range lists {
			for _, f := range alternatives {
				text = append(text, f.name+"="+f.value)
			}
		}
		return text
	}
	for _, c := range []struct {
		limits Limits
		v2, v1 string
	}{
		{Limits{Pids: Unlimited}, "", ""},
		{Limits{}, "pids.max=32768", "pids.max=32768"},
		{Limits{Pids: 7}, "pids.max=7", "pids.max=7"},
		{Limits{NanoCPUs: 5e8, Pids: Unlimited}, "cpu.max=50000 100000", "cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000"},
		{Limits{CPUSet: []int{0, 1, 3}, Pids: Unlimited}, "cpuset.cpus=0-1,3", "cpuset.cpus=0-1,3"},
		{Limits{MemoryBytes: 100, Pids: Unlimited}, "memory.max=100 memory.swap.max=100", "memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=200"},
		{Limits{MemoryBytes: 100, SwapBytes: 100, Pids: Unlimited}, "memory.max=100 memory.swap.max=0", "memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=100"},
		{Limits{MemoryBytes: 100, SwapBytes: 150, Pids: Unlimited}, "memory.max=100 memory.swap.max=50", "memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=150"},
		{Limits{MemoryBytes: 100, SwapBytes: Unlimited, Pids: Unlimited}, "memory.max=100 memory.swap.max=max", "memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=-1"},
		{Limits{IOWeight: 10, Pids: Unlimited}, "io.weight=1 io.bfq.weight=10", "blkio.bfq.weight=10 blkio.weight=10"},
		{Limits{IOWeight: 1000, Pids: Unlimited}, "io.weight=10000 io.bfq.weight=1000", "blkio.bfq.weight=1000 blkio.weight=1000"},
	} {
		var v2, v1 []string
		for _, w := range c.limits.wants() {
			v2, v1 = append(v2, files(w.v2)...), append(v1, files(w.v1)...)
		}
		if got := strings.Join(v2, " "); got != c.v2 {
			t.Errorf("%+v, v2: %s, want %s", c.limits, got, c.v2)
		}
		if got := strings.Join(v1, " "); got != c.v1 {
			t.Errorf("%+v, v1: %s, want %s", c.limits, got, c.v1)
		}
	}
}

func TestFormatMemory(t *testing.T) {
	for bytes, want := range map[int64]string{200 << 20: "200m", 1 << 30: "1g", 3 << 29: "1536m", 5: "5", 0: "0", 1 << 40: "1t", 2048: "2k"} {
		if got := FormatMemory(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
}
