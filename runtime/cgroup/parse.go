package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// What docker says of numbers of CPUs.
var (
	errCPUs      = errors.New("it is a number of CPUs such as 1.5")
	errPrecise   = errors.New("value is too precise")
	errNoCPUList = errors.New("it is a list of CPUs such as 0-3,7")
)

// ParseCPUs reads a number of CPUs in billionths.
func ParseCPUs(text string) (nano int64, err error) {
	n, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/_xXpP") {
		return 0, errCPUs
	}
	n.Mul(n, big.NewRat(1e9, 1))
	if !n.IsInt() {
		return 0, errPrecise
	}
	if n.Sign() < 0 || !n.Num().IsInt64() {
		return 0, errCPUs
	}
	return n.Num().Int64(), nil
}

// mostCPUs is more than any kernel has.
const mostCPUs = 1 << 16

// ParseCPUSet reads a list of CPUs as the kernel writes it (cpuset(7), list format): 0-3,7. It is ascending, each CPU once.
func ParseCPUSet(text string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseUint(first, 10, 16)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseUint(last, 10, 16)
		}
		if err != nil || to < from || to >= mostCPUs {
			return nil, errNoCPUList
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// FormatCPUSet is the reverse of ParseCPUSet.
func FormatCPUSet(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		last := i
		for last+1 < len(cpus) && cpus[last+1] == cpus[last]+1 {
			last++
		}
		part := strconv.Itoa(cpus[i])
		if last > i {
			part += "-" + strconv.Itoa(cpus[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ",")
}

// leastMemory is docker's: less does not start a container.
const leastMemory = 6 << 20

// Check finds what makes no sense, by docker's rules, on a host with some CPUs.
func (l Limits) Check(cpus []int) error {
	return cmp.Or(l.checkMemory(), l.checkCPUs(cpus), l.checkRest())
}

func (l Limits) checkMemory() error {
	switch {
	case l.MemoryBytes < 0 || 0 < l.MemoryBytes && l.MemoryBytes < leastMemory:
		return errors.New("--memory: minimum memory limit allowed is 6MB")
	case l.SwapBytes < Unlimited:
		return errors.New("--memory-swap: it is a size, or -1 for no limit")
	case l.SwapBytes > 0 && l.MemoryBytes == 0:
		return errors.New("--memory-swap: you should always set the memory limit when using memory-swap limit: add --memory")
	case l.SwapBytes > 0 && l.SwapBytes < l.MemoryBytes:
		return errors.New("--memory-swap: minimum memory-swap limit should be larger than memory limit: it counts both together")
	}
	return nil
}

func (l Limits) checkCPUs(cpus []int) error {
	const least = 1e7 // what the kernel has at least, 1 ms in 100 ms
	if l.NanoCPUs != 0 && (l.NanoCPUs < least || l.NanoCPUs > int64(len(cpus))*1e9) {
		return fmt.Errorf("--cpus: range of CPUs is from 0.01 to %[1]d.00, as there are only %[1]d CPUs available", len(cpus))
	}
	for _, cpu := range l.CPUSet {
		if !slices.Contains(cpus, cpu) {
			return fmt.Errorf("--cpuset-cpus: requested CPUs are not available: requested %s, available: %s", FormatCPUSet(l.CPUSet), FormatCPUSet(cpus))
		}
	}
	return nil
}

func (l Limits) checkRest() error {
	switch {
	case l.Pids < Unlimited:
		return errors.New("--pids-limit: it is a number, or -1 for no limit")
	case l.IOWeight != 0 && (l.IOWeight < 10 || l.IOWeight > 1000):
		return errors.New("--io-weight: range of the weight is from 10 to 1000")
	}
	return nil
}
