package initproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

const cgroups = "/sys/fs/cgroup"

// hideCgroups keeps libcontainer from making cgroups: whoever finds those of the host writable (root does) would leave some behind
// when the supervisor is killed. The job's is made by the supervisor (package cgroup), and the keeper is in it. Those of version 1
// libcontainer would have to look up, too, one controller after another, which takes half a millisecond.
func hideCgroups() error {
	var there unix.Statfs_t
	if err := sys.Retry(func() error { return unix.Statfs(cgroups, &there) }); err == nil && there.Type == unix.CGROUP2_SUPER_MAGIC {
		return freezeCgroups()
	}
	err := mountCgroups()
	if errors.Is(err, unix.ENODEV) { // the kernel has no version 2
		return freezeCgroups()
	}
	return err
}

// mountCgroups shows libcontainer cgroups of version 2, where the host has not mounted them, for it refuses to work without any. Nobody
// can write to them, and nobody else sees them.
func mountCgroups() error {
	if _, err := os.Stat(cgroups); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	runtime.LockOSThread() // a cgroup namespace is a thread's; without one of its own, a user namespace must not mount these
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	return sys.Mount("cgroup2", cgroups, "cgroup2", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// freezeCgroups makes those of the host read-only. Before Linux 5.12 there is no such call; an ordinary user's cgroups are out of
// reach there all the same. Where nothing is mounted there is nothing to do, and libcontainer says what it thinks of that.
func freezeCgroups() error {
	err := sys.MakeReadOnly(cgroups)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EINVAL) || !sys.CanSetMounts() {
		return nil
	}
	return err
}
