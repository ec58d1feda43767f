package initproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
)

// below are the options for a bind and everything mounted below it, as flags of mount(2).
var below = map[string]uintptr{
	"rro": unix.MS_RDONLY, "rnosuid": unix.MS_NOSUID, "rnodev": unix.MS_NODEV, "rnoexec": unix.MS_NOEXEC,
}

// restrainBinds does what these options say where the kernel cannot do it at once (mount_setattr(2), Linux 5.12): each bind that
// brings mounts along is made here first, in the keeper's own mount namespace, they are restrained one by one, and the container
// gets a copy.
func restrainBinds(s *specs.Spec) error {
	if sys.CanSetMounts() {
		return nil
	}
	s.Mounts = slices.Clone(s.Mounts)
	for n, m := range s.Mounts {
		var flags uintptr
		options := slices.DeleteFunc(slices.Clone(m.Options), func(option string) bool {
			flags |= below[option]
			return below[option] != 0
		})
		if flags == 0 {
			continue
		}
		s.Mounts[n].Options = options
		if err := restrainBind(&s.Mounts[n], filepath.Join(bindsDir, strconv.Itoa(n)), flags); err != nil {
			return fmt.Errorf("restraining what is mounted below %s: %w", m.Source, err)
		}
	}
	return nil
}

// restrainBind leaves a bind without mounts below it as it is: libcontainer restrains its top.
func restrainBind(m *specs.Mount, stage string, flags uintptr) error {
	inside, err := host.MountsBelow(m.Source)
	if err != nil || len(inside) == 0 {
		return err
	}
	if err := os.MkdirAll(stage, 0o700); err != nil {
		return err
	}
	if err := sys.Mount(m.Source, stage, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if inside, err = host.MountsBelow(stage); err != nil {
		return err
	}
	for _, path := range inside {
		if err := restrain(path, flags); err != nil {
			return err
		}
	}
	m.Source = stage
	return nil
}

// restrain adds flags to those of one mount. What the kernel does not find by the path is covered by another mount, or lies where
// the caller may not go: the job, who is the caller, does not find it either.
func restrain(path string, flags uintptr) error {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	if err == nil {
		err = unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|flags|kept(st.Flags), "")
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "remount", Path: path, Err: err}
	}
	return nil
}

// kept are the flags of mount(2) by those of statfs(2) that a remount would take off, or must not: what a more privileged mount
// namespace has set is locked. Those about access times stay by themselves.
func kept(statfs int64) (flags uintptr) {
	for _, flag := range []struct{ of, to uintptr }{
		{unix.ST_RDONLY, unix.MS_RDONLY}, {unix.ST_NOSUID, unix.MS_NOSUID}, {unix.ST_NODEV, unix.MS_NODEV},
		{unix.ST_NOEXEC, unix.MS_NOEXEC}, {0x2000, unix.MS_NOSYMFOLLOW}, // ST_NOSYMFOLLOW of linux/statfs.h
	} {
		if uintptr(statfs)&flag.of != 0 {
			flags |= flag.to
		}
	}
	return flags
}
