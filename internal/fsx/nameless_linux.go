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

// openNameless is open(2), which tests make fail as file systems do that have no such files.
var openNameless = unix.Open

// Nameless makes a file without a name on the file system of a directory, for reading and writing. The kernel removes it when
// it is closed, or the process ends, unless Name gives it a name. The error is errors.ErrUnsupported where the file system has
// no such files (NFS, FUSE).
func Nameless(dir string, perm os.FileMode) (*os.File, error) {
	if err := Step("scratch", dir); err != nil {
		return nil, err
	}
	var fd int
	err := sys.Retry(func() (err error) {
		fd, err = openNameless(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) { // open(2), O_TMPFILE
		return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), filepath.Join(dir, "nameless")), nil
}

// Name gives a file of Nameless a path on its file system. What has that name already is replaced; only then the file has
// another name beside it, for a moment.
func Name(f *os.File, path string) error {
	err := link(f, path)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	name, err := TempName()
	if err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), name)
	if err := link(f, temp); err != nil {
		return err
	}
	if err := Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// link is linkat(2) of an open file, by the way that needs no capability.
func link(f *os.File, path string) error {
	if err := Step("link", path); err != nil {
		return err
	}
	return sys.Retry(func() error {
		err := unix.Linkat(unix.AT_FDCWD, sys.FDPath(int(f.Fd())), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
		if err != nil {
			return &os.LinkError{Op: "linkat", Old: "nameless", New: path, Err: err}
		}
		return nil
	})
}
