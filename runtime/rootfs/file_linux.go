package rootfs

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// MountFile mounts a file on /etc/NAME of the root file system at dir, which nothing runs in yet. It does so only where all is
// plain: /etc is a directory, and in it there is a file of that name or nothing. Otherwise it does nothing and reports false:
// what an image has put in their place wants a closer look, which libcontainer takes of every mount, at some cost.
func MountFile(dir, name, source string) (done bool, err error) {
	root, err := sys.OpenDir(dir)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, sys.Close(root)) }()
	etc, err := sys.OpenDirAt(root, "etc")
	if err != nil {
		return false, nil // the closer look says what is wrong with it
	}
	defer func() { err = errors.Join(err, sys.Close(etc)) }()
	target, err := plainFile(etc, name)
	if err != nil || target < 0 {
		return false, err
	}
	defer func() { err = errors.Join(err, sys.Close(target)) }()
	if err := sys.Mount(source, sys.FDPath(target), "", unix.MS_BIND, ""); err != nil {
		return false, err
	}
	return true, nil
}

// plainFile opens a file that is a plain one, and makes it when there is none; -1: it is something else.
func plainFile(dir int, name string) (int, error) {
	st, err := sys.StatAt(dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sys.CreateAt(dir, name, 0o644)
	case err != nil:
		return -1, err
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return -1, nil
	}
	return sys.OpenBeneath(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
}
