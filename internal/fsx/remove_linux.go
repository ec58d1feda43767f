package fsx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Remove removes a file, or an empty directory. What is not there is removed.
func Remove(path string) error {
	if err := Step("remove", path); err != nil {
		return err
	}
	return IgnoreMissing(os.Remove(path))
}

// RemoveAll removes path and everything below it; a path that is not there is no error. The directory that holds path is
// trusted, what is below it is not: links are removed and never followed, another file system (a mount) is refused with
// EXDEV, and directories the caller owns are opened up first whatever their mode (an overlay leaves its work directory with
// mode 0). Depth costs no descriptors and no stack. It stops at the first thing that cannot be removed.
func RemoveAll(path string) (err error) {
	if err := Step("remove", path); err != nil {
		return err
	}
	parent, err := sys.OpenDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, sys.Close(parent)) }()
	if err := RemoveAllAt(parent, filepath.Base(path)); err != nil {
		return fmt.Errorf("removing %s: %w", path, err)
	}
	return nil
}

// RemoveAllAt is RemoveAll for the single component name in the open directory parent.
func RemoveAllAt(parent int, name string) error {
	err := sys.UnlinkAt(parent, name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	st, statErr := sys.StatAt(parent, name)
	if statErr != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return errors.Join(err, IgnoreMissing(statErr))
	}
	r := remover{device: st.Dev}
	if err := r.enter(parent, name); err != nil {
		return IgnoreMissing(err)
	}
	for {
		err := r.empty()
		if err == nil {
			err = r.leave(parent, name)
		}
		if err != nil || !r.again {
			return errors.Join(err, sys.Close(r.dir))
		}
	}
}

// remover walks down and up a tree with one open directory. It goes up through "..", and checks that it arrives where it
// came from.
type remover struct {
	device uint64
	dir    int // the open directory
	above  []place

	again bool // the directory that was left last had got entries again
	late  int  // how often that was so
}

// maxLate is how often a directory may have got entries between its sweeping and its removal. Whoever was on the way into it when
// it was moved out of sight does so once; more than this is somebody who works in it.
const maxLate = 100

// place is a directory on the way down: its identity and the name of its child that was entered.
type place struct {
	inode uint64
	child string
}

// empty removes everything in the current directory.
func (r *remover) empty() error {
	for {
		child, err := r.sweep()
		if err != nil {
			return err
		}
		if child != "" {
			if err := r.descend(child); err != nil {
				return err
			}
			continue
		}
		if len(r.above) == 0 {
			return nil
		}
		if err := r.ascend(); err != nil {
			return err
		}
	}
}

// sweep removes what is not a directory, and empty directories, from the current directory. It stops at the first
// directory that has entries and returns its name; "" means that nothing is left.
func (r *remover) sweep() (string, error) {
	if err := rewind(r.dir); err != nil {
		return "", err
	}
	var buf [32 << 10]byte
	for {
		n, err := unix.ReadDirent(r.dir, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil // somebody else removed this very directory
		}
		if err != nil {
			return "", os.NewSyscallError("getdents64", err)
		}
		if n == 0 {
			return "", nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			full, err := r.remove(name)
			if err != nil {
				return "", err
			}
			if full {
				return name, nil
			}
		}
	}
}

// remove removes one entry of the current directory and reports whether it is a directory that has entries.
func (r *remover) remove(name string) (full bool, err error) {
	err = sys.UnlinkAt(r.dir, name)
	if errors.Is(err, unix.EISDIR) {
		err = sys.RmdirAt(r.dir, name)
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST):
		return true, nil
	}
	return false, err
}

func (r *remover) descend(name string) error {
	here, err := sys.Stat(r.dir, name)
	if err != nil {
		return err
	}
	old := r.dir
	if err := r.enter(old, name); err != nil {
		return IgnoreMissing(err) // somebody else was first
	}
	r.above = append(r.above, place{inode: here.Ino, child: name})
	return sys.Close(old)
}

// enter makes name in dir the current directory, and makes sure that its entries can be read and removed.
func (r *remover) enter(dir int, name string) error {
	fd, err := sys.OpenDirAt(dir, name)
	if errors.Is(err, fs.ErrPermission) {
		if err = openUp(dir, name); err == nil {
			fd, err = sys.OpenDirAt(dir, name)
		}
	}
	if err != nil {
		return err
	}
	st, err := sys.Stat(fd, name)
	if err == nil && st.Dev != r.device {
		err = &fs.PathError{Op: "remove", Path: name, Err: unix.EXDEV}
	}
	if err == nil && st.Mode&0o300 != 0o300 {
		err = sys.Chmod(fd, name, 0o700)
	}
	if err != nil {
		return errors.Join(err, sys.Close(fd))
	}
	r.dir = fd
	return nil
}

// ascend goes back to the directory above and removes the child it left, which is empty by now.
func (r *remover) ascend() error {
	up := r.above[len(r.above)-1]
	fd, err := sys.OpenDirAt(r.dir, "..")
	if err != nil {
		return err
	}
	st, err := sys.Stat(fd, "..")
	if err == nil && (st.Dev != r.device || st.Ino != up.inode) {
		err = fmt.Errorf("%s was moved away while it was removed", up.child)
	}
	if err != nil {
		return errors.Join(err, sys.Close(fd))
	}
	old := r.dir
	r.dir, r.above = fd, r.above[:len(r.above)-1]
	return errors.Join(sys.Close(old), r.leave(fd, up.child))
}

// leave removes the directory name, which was swept. One that has got entries meanwhile stays, to be swept again.
func (r *remover) leave(parent int, name string) error {
	err := sys.RmdirAt(parent, name)
	r.again = IsNotEmpty(err)
	if r.again && r.late < maxLate {
		r.late++
		return nil
	}
	return IgnoreMissing(err)
}

// openUp gives the owner all permissions on the directory name in dir, without following a link: the directory is opened
// as a mere place (O_PATH) and changed through its descriptor.
func openUp(dir int, name string) error {
	fd, err := sys.OpenBeneath(dir, name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = os.Chmod(sys.FDPath(fd), 0o700)
	return errors.Join(err, sys.Close(fd))
}

func rewind(fd int) error {
	_, err := unix.Seek(fd, 0, 0)
	return os.NewSyscallError("lseek", err)
}
