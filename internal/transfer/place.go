package transfer

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Errors of what is no file that could be copied.
var (
	// ErrKernel marks what has no content until it is read: files of proc, sysfs and their like, which have no size either.
	ErrKernel = errors.New("the kernel makes it up as it is read or written")
	// ErrDevice marks a device or a socket.
	ErrDevice = errors.New("it is a device or a socket")
	// ErrMounted marks a name on which something is mounted that cannot be written into.
	ErrMounted = errors.New("something is mounted there")
	// ErrItself marks a directory that is to be copied into itself as a whole.
	ErrItself = errors.New("it is where the copy goes")
)

// Spot is a directory that a copy leaves out, or one name in it: where the copy goes, which would never come to an end otherwise.
type Spot struct {
	Device, Inode uint64
	Name          string `json:",omitempty"` // "": all of the directory
}

// SpotOf is that of an open directory.
func SpotOf(fd int, name string) (Spot, error) {
	st, err := sys.Stat(fd, name)
	return Spot{Device: st.Dev, Inode: st.Ino, Name: name}, err
}

func (s Spot) is(st unix.Stat_t) bool { return s.Device == st.Dev && s.Inode == st.Ino }

// avoided reports whether a directory is left out as a whole, and which of its names are.
func (s Source) avoided(st unix.Stat_t) (all bool, names []string) {
	for _, spot := range s.Avoid {
		switch {
		case !spot.is(st):
		case spot.Name == "":
			all = true
		default:
			names = append(names, spot.Name)
		}
	}
	return all, names
}

// made are the file systems whose files the kernel makes up (magic.h).
var made = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC,
	unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, unix.EFIVARFS_MAGIC, unix.NSFS_MAGIC,
}

// madeUp reports whether what is open is on one of them.
func madeUp(fd int) (bool, error) {
	var fs unix.Statfs_t
	if err := sys.Retry(func() error { return unix.Fstatfs(fd, &fs) }); err != nil {
		return false, err
	}
	return slices.Contains(made, int64(fs.Type)), nil //nolint:unconvert // of 32 bits elsewhere
}

// replaceable refuses a name that is there and that no file, link or pipe may take the place of: a device would be gone for the job,
// and so would what is mounted, which the kernel takes down for those outside of its namespace (umount(2) of a name that is unlinked).
func replaceable(parent int, name string) error {
	var st unix.Statx_t
	err := sys.Retry(func() error { return unix.Statx(parent, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &st) })
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("statx: %w", err)
	}
	switch kind := uint32(st.Mode) & unix.S_IFMT; {
	case kind == unix.S_IFCHR || kind == unix.S_IFBLK || kind == unix.S_IFSOCK:
		return fmt.Errorf("not replaced: %w", ErrDevice)
	case kind == unix.S_IFDIR:
		return fmt.Errorf("a file cannot take the place of a directory: %w", unix.EISDIR)
	case st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0:
		return fmt.Errorf("not replaced: %w", ErrMounted)
	}
	return nil
}
