package sys

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The range of times ext4 and XFS (bigtime) both keep; the kernel clamps by file system, but a year of 10^11 in an archive
// must not depend on it.
const minTime, maxTime = -(1 << 31), 1<<33 - 1

func timespecs(t time.Time) [2]unix.Timespec {
	sec := min(max(t.Unix(), minTime), maxTime)
	ts := unix.Timespec{Sec: sec, Nsec: int64(t.Nanosecond())}
	return [2]unix.Timespec{ts, ts}
}

// futimens is utimensat(fd, NULL, times, 0), which x/sys/unix cannot say.
func futimens(fd int, times *[2]unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(times)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
