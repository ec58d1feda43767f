package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long what a command leaves running may take.
const patience = 2 * time.Minute

// adopt makes this process the parent of what its descendants leave behind, so that it can be waited for: what a pull puts
// off is part of its price, and must not be paid by who is measured next. See PR_SET_CHILD_SUBREAPER in prctl(2).
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// lateComers waits for all children of this process but those that stay for good, and returns what they took: user and
// system time, and blocks of 512 bytes written. No command may be running.
func lateComers(patience time.Duration) (cpu time.Duration, blocks int64, err error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		left := slices.DeleteFunc(children(os.Getpid()), stays)
		if len(left) == 0 {
			return cpu, blocks, nil
		}
		for _, pid := range left {
			var usage unix.Rusage
			ended, err := unix.Wait4(pid, nil, unix.WNOHANG, &usage)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return cpu, blocks, fmt.Errorf("waiting for what a command left running: %w", err)
			}
			if ended == pid {
				cpu += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
				blocks += usage.Oublock
			}
		}
		if time.Now().After(deadline) {
			return cpu, blocks, fmt.Errorf("a command left processes running for more than %v: %v", patience, left)
		}
	}
}

// stays reports whether a process is the one with which rootless podman keeps its user namespace.
func stays(pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && slices.Contains([]string{"podman pause", "catatonit", "podman"}, strings.TrimSpace(string(name)))
}
