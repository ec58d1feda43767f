package cgroup

import (
	"fmt"
	"strconv"
)

// Limits is what a job is to be held to. The zero value asks for nothing.
type Limits struct {
	NanoCPUs    int64  // billionths of a CPU; 0: all there are
	CPUSet      []int  // which CPUs, ascending; nil: any
	MemoryBytes int64  // 0: all there is
	SwapBytes   int64  // memory and swap together; 0: twice the memory, as docker has it; Unlimited
	Pids        int64  // 0: DefaultPids, where that takes nothing; Unlimited
	IOWeight    uint16 // docker's, 10 to 1000; 0: as everybody
}

// Unlimited is asking for no limit, where 0 would mean the default.
const Unlimited = -1

// DefaultPids stops a fork bomb before the host does.
const DefaultPids = 32768

// Names of limits, which are those of the options that ask for them.
const (
	Memory   = "memory"
	Swap     = "memory-swap"
	CPUs     = "cpus"
	CPUSet   = "cpuset-cpus"
	Pids     = "pids-limit"
	IOWeight = "io-weight"
)

// period is docker's, in microseconds: a job with half a CPU gets 50 of each 100 ms.
const period = 100_000

// want is one limit in the kernel's terms.
type want struct {
	limit      string // its name
	value      string // for people, and the record
	controller string
	v2, v1     [][]file // of each list the first that the kernel has is written
	quiet      bool     // nobody asked for it, and nobody is told if it cannot be had
}

// file is what one file of a group is to say.
type file struct{ name, value string }

// wants lists the limits in the order in which they are to be written: swap after memory, which it may not be below.
func (l Limits) wants() (wants []want) {
	one := func(name, value string) [][]file { return [][]file{{{name, value}}} }
	if l.MemoryBytes > 0 {
		text := decimal(l.MemoryBytes)
		wants = append(wants,
			want{limit: Memory, value: text, controller: "memory", v2: one("memory.max", text), v1: one("memory.limit_in_bytes", text)},
			l.swap())
	}
	if l.NanoCPUs > 0 {
		quota := decimal(l.NanoCPUs * period / 1e9)
		wants = append(wants, want{
			limit: CPUs, value: FormatCPUs(l.NanoCPUs), controller: "cpu", v2: one("cpu.max", quota+" "+decimal(period)),
			v1: [][]file{{{"cpu.cfs_period_us", decimal(period)}}, {{"cpu.cfs_quota_us", quota}}},
		})
	}
	if len(l.CPUSet) > 0 {
		text := FormatCPUSet(l.CPUSet)
		wants = append(wants, want{limit: CPUSet, value: text, controller: "cpuset", v2: one("cpuset.cpus", text), v1: one("cpuset.cpus", text)})
	}
	if l.Pids >= 0 {
		w := want{limit: Pids, value: decimal(DefaultPids), controller: "pids", quiet: l.Pids == 0}
		if !w.quiet {
			w.value = decimal(l.Pids)
		}
		w.v2 = one("pids.max", w.value)
		w.v1 = w.v2
		wants = append(wants, w)
	}
	if l.IOWeight > 0 {
		text := decimal(int64(l.IOWeight))
		// BFQ takes docker's numbers; io.weight has 1 to 10000 for them (the formula is that of runc and crun).
		v2 := decimal(1 + (int64(l.IOWeight)-10)*9999/990)
		wants = append(wants, want{
			limit: IOWeight, value: text, controller: "io",
			v2: [][]file{{{"io.weight", v2}, {"io.bfq.weight", text}}}, v1: [][]file{{{"blkio.bfq.weight", text}, {"blkio.weight", text}}},
		})
	}
	return wants
}

// swap is the limit that goes with one of memory. v2 counts swap alone, v1 both together.
func (l Limits) swap() want {
	w := want{limit: Swap, controller: "memory", quiet: l.SwapBytes == 0}
	both, alone := decimal(l.MemoryBytes*2), decimal(l.MemoryBytes)
	switch {
	case l.SwapBytes == Unlimited:
		both, alone = "-1", "max"
	case l.SwapBytes > 0:
		both, alone = decimal(l.SwapBytes), decimal(l.SwapBytes-l.MemoryBytes)
	}
	w.value = both
	w.v2, w.v1 = [][]file{{{"memory.swap.max", alone}}}, [][]file{{{"memory.memsw.limit_in_bytes", both}}}
	return w
}

// asked reports whether the user asked for any limit.
func asked(wants []want) bool {
	for _, w := range wants {
		if !w.quiet {
			return true
		}
	}
	return false
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// FormatCPUs writes a number of CPUs as --cpus takes it.
func FormatCPUs(nano int64) string { return strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64) }

// FormatMemory writes bytes as --memory takes them, in the largest unit that divides them.
func FormatMemory(bytes int64) string {
	for _, unit := range []struct {
		shift uint
		name  string
	}{{40, "t"}, {30, "g"}, {20, "m"}, {10, "k"}} {
		if bytes > 0 && bytes%(1<<unit.shift) == 0 {
			return fmt.Sprintf("%d%s", bytes>>unit.shift, unit.name)
		}
	}
	return decimal(bytes)
}
