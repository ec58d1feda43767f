package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// systemMounts are the file systems that every container has. /dev is a fresh tmpfs whatever the image has there, and stays
// one: a link in its place was CVE-2026-41579.
func systemMounts(h Host, shmBytes int64) Modifier {
	return func(s *specs.Spec) error {
		shm := []string{"nosuid", "noexec", "nodev", "mode=1777"}
		if shmBytes > 0 {
			shm = append(shm, fmt.Sprintf("size=%d", shmBytes))
		}
		s.Mounts = append(s.Mounts,
			specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}})
		s.Mounts = append(s.Mounts, Dev()...)
		s.Mounts = append(s.Mounts,
			specs.Mount{Destination: sharedMemory, Type: "tmpfs", Source: "shm", Options: shm},
			// sysfs shows the network namespace and can be mounted by its owner alone: the host's. The keeper
			// puts another in its place for a job with a network of its own.
			specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: append(recursive("ro", "nosuid", "noexec", "nodev"), "rbind")})
		s.Mounts = append(s.Mounts, cgroupMounts(h)...)
		return nil
	}
}

const (
	lastSystemMount = "/sys/fs/cgroup"
	sharedMemory    = "/dev/shm"
)

// Dev are the mounts of /dev that are the same in every container.
func Dev() []specs.Mount {
	return []specs.Mount{
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		// No gid: the tty group has no number in a user namespace with one.
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	}
}

// SplitDev takes the system's own mounts of /dev out of a specification and leaves one in their place: a bind of a directory, where
// somebody makes them beforehand. They are Dev and that of /dev/shm, whose size is the job's.
func SplitDev(s *specs.Spec, prepared string) (shm specs.Mount) {
	own := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == lastSystemMount })
	var kept []specs.Mount
	for i, m := range s.Mounts {
		switch {
		case i < own && m.Destination == "/dev":
			m = specs.Mount{Destination: "/dev", Type: "bind", Source: prepared, Options: []string{"rbind"}}
		case i < own && m.Destination == sharedMemory:
			shm = m
			continue
		case i < own && strings.HasPrefix(m.Destination, "/dev/"):
			continue
		}
		kept = append(kept, m)
	}
	s.Mounts = kept
	return shm
}

// cgroupMounts cover the host's cgroups, which come along with /sys and may be writable by the caller (CVE-2023-25809): by nothing,
// and on cgroup v2, above that, by the container's own view of them. The kernel refuses a file system right on top of itself.
func cgroupMounts(h Host) []specs.Mount {
	nothing := specs.Mount{Destination: lastSystemMount, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "nodev"}}
	if !h.CgroupV2 {
		nothing.Options = append(nothing.Options, "ro", "size=0")
		return []specs.Mount{nothing}
	}
	nothing.Options = append(nothing.Options, "size=4k", "nr_inodes=1")
	own := specs.Mount{Destination: lastSystemMount, Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}}
	return []specs.Mount{nothing, own}
}

// recursive restrains a bind and everything mounted below it (mount_setattr(2), Linux 5.12; before, the runtime does it mount by
// mount).
func recursive(flags ...string) []string {
	options := slices.Clone(flags)
	for _, flag := range flags {
		options = append(options, "r"+flag)
	}
	return options
}

// volumes adds what the user mounts, after the system's own and so that one may lie in another, whatever the order given.
func volumes(o Filesystem) Modifier {
	return func(s *specs.Spec) error {
		s.Root.Readonly = o.ReadOnly
		taken := map[string]bool{}
		for _, v := range o.Volumes {
			if err := v.check(); err != nil {
				return err
			}
			if taken[v.Target] {
				return fmt.Errorf("%w: two volumes on %s", ErrOption, v.Target)
			}
			taken[v.Target] = true
		}
		for _, v := range ByDepth(o.Volumes) {
			s.Mounts = append(s.Mounts, v.mount())
		}
		if o.Secrets {
			return addSecrets(s, taken)
		}
		return nil
	}
}

// AddFiles mounts files of the runtime's own, /etc/hosts and the like, below everything that the user mounts: a volume on the
// same path or on a directory above it covers them.
func AddFiles(s *specs.Spec, files []Volume) {
	own := 1 + slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == lastSystemMount })
	mounts := make([]specs.Mount, len(files))
	for i, f := range files {
		f.Recursive = Disabled // they are files
		mounts[i] = f.mount()
	}
	s.Mounts = slices.Insert(s.Mounts, own, mounts...)
}
