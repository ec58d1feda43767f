package initproc

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

const cgroups = "/sys/fs/cgroup"

// freezeCgroups keeps libcontainer from making cgroups: whoever finds this path writable (root does) would leave some behind
// when the supervisor is killed. The job's is made by the supervisor (package cgroup), and the keeper is in it. Before Linux 5.12 there is
// no such call; an ordinary user's cgroups are out of reach there all the same.
func freezeCgroups() error {
	err := sys.MakeReadOnly(cgroups)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.EINVAL) && sys.CanSetMounts(): // nothing is mounted there
		return mountCgroups()
	case !sys.CanSetMounts():
		return nil
	}
	return err
}

// mountCgroups shows libcontainer cgroups of version 2 where the host shows none, for it refuses to work without. Nobody can write
// to them, and nobody else sees them. A kernel without version 2 has nothing to show; what follows fails then and says so.
func mountCgroups() error {
	runtime.LockOSThread() // a cgroup namespace is a thread's; without one of its own, a user namespace must not mount these
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	err := sys.Mount("cgroup2", cgroups, "cgroup2", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
