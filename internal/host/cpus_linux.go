package host

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// OnlineCPUs is how many CPUs this machine runs, whoever may use them.
func OnlineCPUs() int {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if n, ok := countCPUs(string(text)); err == nil && ok {
		return n
	}
	return runtime.NumCPU()
}

// countCPUs counts a list as the kernel writes it: 0-3,7.
func countCPUs(list string) (n int, ok bool) {
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(last)
		}
		if err != nil || to < from {
			return 0, false
		}
		n += to - from + 1
	}
	return n, true
}
