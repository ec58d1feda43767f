package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
)

// startTime is the start time of a process in clock ticks after boot, field 22 of /proc/PID/stat (proc_pid_stat(5)), as the clock runs
// outside of all time namespaces. A zombie counts as gone: it holds nothing and will do nothing. The error is fs.ErrNotExist when there
// is no such process for certain.
func startTime(pid int) (uint64, error) {
	start, err := readStartTime(pid)
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errEnded) {
		err = absent(pid)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	return start, nil
}

func readStartTime(pid int) (uint64, error) {
	added, err := addedTicks()
	if err != nil {
		return 0, err
	}
	stat, err := proc.ReadStat(pid)
	if err != nil {
		return 0, err
	}
	if stat.Ended() {
		return 0, errEnded
	}
	return uint64(int64(stat.Start) - added), nil //nolint:gosec // ticks of 10 ms
}

// errEnded is of a process that is there in name only.
var errEnded = fmt.Errorf("it has ended: %w", fs.ErrNotExist)

// absent is fs.ErrNotExist if there is no process with a pid. /proc need not show those of others, nor such of the caller's own as may not
// be traced (hidepid of proc(5)).
func absent(pid int) error {
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		return errors.New("/proc does not show it")
	}
	return fs.ErrNotExist
}

// sameTick reports whether two start times are those of one process: what a time namespace adds is rounded. No pid is given again so soon.
func sameTick(a, b uint64) bool { return max(a, b)-min(a, b) <= 1 }

// checkProc fails where /proc is that of another pid namespace, and its numbers are other processes'.
func checkProc() error {
	shown, err := os.Readlink("/proc/self")
	if err == nil && shown != strconv.Itoa(os.Getpid()) {
		err = fmt.Errorf("/proc is that of another pid namespace, in which this process is %q: mount one of this namespace", shown)
	}
	return err
}

// addedTicks is what this process's time namespace adds to the time since boot.
var addedTicks = sync.OnceValues(func() (int64, error) {
	if space, err := os.Readlink("/proc/self/ns/time"); err != nil || space == firstTimeSpace {
		return 0, nil // before Linux 5.6 there are none
	}
	raw, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil {
		return 0, err
	}
	return parseOffsets(raw)
})

// firstTimeSpace is the time namespace that a kernel boots with: the kernel's PROC_TIME_INIT_INO.
const firstTimeSpace = "time:[4026531834]"

// parseOffsets reads time_namespaces(7)'s "boottime SECONDS NANOSECONDS".
func parseOffsets(raw []byte) (ticks int64, err error) {
	for line := range bytes.Lines(raw) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || string(fields[0]) != "boottime" {
			continue
		}
		seconds, err := strconv.ParseInt(string(fields[1]), 10, 64)
		ns, nsErr := strconv.ParseInt(string(fields[2]), 10, 64)
		return seconds*proc.TicksPerSecond + ns*proc.TicksPerSecond/1e9, errors.Join(err, nsErr)
	}
	return 0, errors.New("malformed offsets of the time namespace")
}
