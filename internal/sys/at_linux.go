package sys

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxRetries bounds how often openat2 is tried again after EAGAIN, which it returns when a rename somewhere on the
// machine raced with a ".." in the path (openat2(2)).
const maxRetries = 128

// Retry calls f until it is not interrupted by a signal.
func Retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// retry is Retry, and names what failed.
func retry(op, path string, f func() error) error {
	if err := Retry(f); err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

// OpenBeneath opens path below the directory dir. No component, the last one included, may be a symbolic link, a mount
// point or lead out of dir: the kernel refuses with ELOOP or EXDEV while it resolves, so nothing can be swapped in between
// (openat2(2), RESOLVE_BENEATH). The path "." opens dir itself anew.
func OpenBeneath(dir int, path string, flags int, mode uint32) (int, error) {
	return openat2(dir, path, &unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
}

// OpenDeep opens the directory path below dir, "" for dir itself, as OpenBeneath does, but however long the path is: the kernel
// takes one of 4095 bytes at once.
func OpenDeep(dir int, path string) (fd int, err error) {
	from := dir
	for len(path) >= unix.PathMax && err == nil {
		cut := strings.LastIndexByte(path[:unix.PathMax-1], '/')
		if cut <= 0 {
			err = &fs.PathError{Op: "openat2", Path: path[:255], Err: unix.ENAMETOOLONG}
			break
		}
		fd, err = OpenBeneath(from, path[:cut], unix.O_PATH|unix.O_DIRECTORY, 0)
		if from != dir {
			err = errors.Join(err, Close(from))
		}
		from, path = fd, path[cut+1:]
	}
	if err != nil {
		return -1, err
	}
	if path == "" {
		path = "."
	}
	fd, err = OpenBeneath(from, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if from != dir {
		err = errors.Join(err, Close(from))
	}
	return fd, err
}

// OpenInRoot opens path as a process would that has dir as its root directory: symbolic links are followed, absolute ones
// and ".." start and end at dir (openat2(2), RESOLVE_IN_ROOT). Links of /proc to open files are refused.
func OpenInRoot(dir int, path string, flags int, mode uint32) (int, error) {
	return openat2(dir, path, &unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC,
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func openat2(dir int, path string, how *unix.OpenHow) (int, error) {
	fd := -1
	tries := 0
	err := retry("openat2", path, func() (err error) {
		if noOpenat2.Load() {
			fd, err = walkat2(dir, path, how)
			return err
		}
		for ; tries < maxRetries; tries++ {
			if fd, err = unix.Openat2(dir, path, how); err != nil && lacksOpenat2(err) {
				fd, err = walkat2(dir, path, how)
			}
			if !errors.Is(err, unix.EAGAIN) {
				return err
			}
		}
		fd, err = walkat2(dir, path, how) // somebody renames without end
		return err
	})
	return fd, err
}

// OpenDir opens a directory by a path the caller trusts, for reading its entries and as the start of relative paths.
func OpenDir(path string) (int, error) {
	fd := -1
	err := retry("open", path, func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// In calls f with another working directory, which is that of the whole process meanwhile.
func In(dir string, f func() error) (err error) {
	here := -1
	if err := retry("open", ".", func() (err error) {
		here, err = unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	}); err != nil {
		return err
	}
	defer func() {
		back := retry("fchdir", ".", func() error { return unix.Fchdir(here) })
		err = errors.Join(err, back, Close(here))
	}()
	if err := retry("chdir", dir, func() error { return unix.Chdir(dir) }); err != nil {
		return err
	}
	return f()
}

// OpenDirAt opens the directory name in dir; a symbolic link is refused. name must be a single component, or "..".
func OpenDirAt(dir int, name string) (int, error) {
	fd := -1
	err := retry("openat", name, func() (err error) {
		fd, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// Close closes a descriptor. It is not retried: on Linux the descriptor is gone even when close is interrupted.
func Close(fd int) error {
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("close", err)
	}
	return nil
}

// MkdirAt makes one directory. The umask applies.
func MkdirAt(dir int, name string, mode uint32) error {
	return retry("mkdirat", name, func() error { return unix.Mkdirat(dir, name, mode) })
}

// MkfifoAt makes a named pipe. The umask applies.
func MkfifoAt(dir int, name string, mode uint32) error {
	return retry("mkfifoat", name, func() error { return unix.Mkfifoat(dir, name, mode) })
}

// OverlayOpaque is the attribute, with the value "y", of a directory that hides what layers below have in it, where the
// overlay is mounted with userxattr (overlayfs.rst, "whiteouts and opaque directories").
const OverlayOpaque = "user.overlay.opaque"

// WhiteoutAt makes an overlay whiteout: a character device 0:0, which any user may make since Linux 5.8 (commit
// a3c751a50fe6, "vfs: allow unprivileged whiteout creation").
func WhiteoutAt(dir int, name string) error {
	return retry("mknodat", name, func() error { return unix.Mknodat(dir, name, unix.S_IFCHR, 0) })
}

// RenameLeavesWhiteout reports whether a file system can move a name and leave a whiteout in its place in one step (renameat2(2),
// RENAME_WHITEOUT). Where it asks somebody else for its names, as NFS does, overlayfs wants that of what is to be written to (ovl_make_workdir in
// fs/overlayfs/super.c), and may not even be asked for it by this user.
func RenameLeavesWhiteout(dir int, oldName, newName string) error {
	err := retry("renameat2", newName, func() error { return unix.Renameat2(dir, oldName, dir, newName, unix.RENAME_WHITEOUT) })
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		return nil // that says nothing of the file system
	}
	return err
}

// SymlinkAt makes a symbolic link with the text target, which is not looked at.
func SymlinkAt(target string, dir int, name string) error {
	return retry("symlinkat", name, func() error { return unix.Symlinkat(target, dir, name) })
}

// LinkAt makes newName in newDir another name of oldName in oldDir. Links are not followed: a symbolic link is linked itself.
// Both names must be single components.
func LinkAt(oldDir int, oldName string, newDir int, newName string) error {
	return retry("linkat", newName, func() error { return unix.Linkat(oldDir, oldName, newDir, newName, 0) })
}

// RenameAt moves a name over another one, in one step.
func RenameAt(oldDir int, oldName string, newDir int, newName string) error {
	return retry("renameat", newName, func() error { return unix.Renameat(oldDir, oldName, newDir, newName) })
}

// RenameNewAt moves a name to one that must not be there yet, else fs.ErrExist (renameat2(2), RENAME_NOREPLACE). A file system without
// that looks first: NFS, say.
func RenameNewAt(oldDir int, oldName string, newDir int, newName string) error {
	return retry("renameat2", newName, func() error {
		err := unix.Renameat2(oldDir, oldName, newDir, newName, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstatat(newDir, newName, &st, unix.AT_SYMLINK_NOFOLLOW); !errors.Is(err, unix.ENOENT) {
			if err == nil {
				err = unix.EEXIST
			}
			return err
		}
		return unix.Renameat(oldDir, oldName, newDir, newName)
	})
}

// UnlinkAt removes a name that is not a directory.
func UnlinkAt(dir int, name string) error {
	return retry("unlinkat", name, func() error { return unix.Unlinkat(dir, name, 0) })
}

// RmdirAt removes an empty directory.
func RmdirAt(dir int, name string) error {
	return retry("rmdir", name, func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
}

// StatAt describes name in dir; a symbolic link is described itself.
func StatAt(dir int, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry("fstatat", name, func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// Stat describes an open file; path only names it in the error.
func Stat(fd int, path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry("fstat", path, func() error { return unix.Fstat(fd, &st) })
	return st, err
}

// ReadlinkAt is the text of the symbolic link name in dir.
func ReadlinkAt(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n := 0
	err := retry("readlinkat", name, func() (err error) {
		n, err = unix.Readlinkat(dir, name, buf)
		return err
	})
	return string(buf[:max(n, 0)]), err
}

// Chmod sets the permission bits of an open file; path only names it in the error.
func Chmod(fd int, path string, mode uint32) error {
	return retry("fchmod", path, func() error { return unix.Fchmod(fd, mode) })
}

// ChownAt gives name in dir to a user and a group; a symbolic link itself.
func ChownAt(dir int, name string, uid, gid uint32) error {
	return retry("fchownat", name, func() error { return unix.Fchownat(dir, name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW) })
}

// SetMtime sets the modification and access time of an open file; path only names it in the error.
func SetMtime(fd int, path string, mtime time.Time) error {
	times := timespecs(mtime)
	return retry("futimens", path, func() error { return futimens(fd, &times) })
}

// SetMtimeAt sets the modification and access time of name in dir; of a symbolic link, its own.
func SetMtimeAt(dir int, name string, mtime time.Time) error {
	times := timespecs(mtime)
	return retry("utimensat", name, func() error {
		return unix.UtimesNanoAt(dir, name, times[:], unix.AT_SYMLINK_NOFOLLOW)
	})
}

// SetXattr sets an extended attribute of an open file; path only names it in the error.
func SetXattr(fd int, path, name string, value []byte) error {
	return retry("fsetxattr "+name, path, func() error { return unix.Fsetxattr(fd, name, value, 0) })
}

// Xattr is the extended attribute name of an open file, of at most size bytes: ERANGE when it is longer, ENODATA when there
// is none. path only names the file in the error.
func Xattr(fd int, path, name string, size int) ([]byte, error) {
	value := make([]byte, size)
	n := 0
	err := retry("fgetxattr "+name, path, func() (err error) {
		n, err = unix.Fgetxattr(fd, name, value)
		return err
	})
	return value[:max(n, 0)], err
}

// Xattrs are the names of the extended attributes of an open file; path only names it in the error.
func Xattrs(fd int, path string) ([]string, error) {
	buf := make([]byte, 64<<10) // XATTR_LIST_MAX
	n := 0
	err := retry("flistxattr", path, func() (err error) {
		n, err = unix.Flistxattr(fd, buf)
		return err
	})
	return strings.FieldsFunc(string(buf[:max(n, 0)]), func(r rune) bool { return r == 0 }), err
}

// Syncfs waits until everything written to the file system that holds the open file is on its device. Errors of writes
// that happened before the file was opened may go unreported (syncfs(2)).
func Syncfs(fd int, path string) error {
	return retry("syncfs", path, func() error { return unix.Syncfs(fd) })
}
