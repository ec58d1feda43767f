package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Tree is the directory in which one side of a copy takes place.
type Tree struct {
	FD int
	// Root says that FD is a container's root directory: paths are those of a process in it, with its links. Else FD holds what is
	// copied, and no path leads through a link.
	Root bool
}

// open opens the directory path of a tree, "" for itself.
func (t Tree) open(path string) (int, error) {
	if !t.Root {
		return sys.OpenDeep(t.FD, path)
	}
	if path == "" {
		path = "/"
	}
	return sys.OpenInRoot(t.FD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// Place says what is at a path of a container, without touching it.
type Place struct {
	There, Directory bool
	Path             string // where a file is that a link at the end of the path leads to
}

// Look finds out what a path of a container leads to; a link at its end is followed, or looked at itself.
func (t Tree) Look(path string, follow bool) (p Place, err error) {
	flags := unix.O_PATH
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := sys.OpenInRoot(t.FD, path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Place{}, nil
	}
	if err != nil {
		return Place{}, fmt.Errorf("%s: %w", path, errnoOf(err))
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	st, err := sys.Stat(fd, path)
	if err != nil {
		return Place{}, err
	}
	p = Place{There: true, Directory: st.Mode&unix.S_IFMT == unix.S_IFDIR, Path: path}
	if follow && !p.Directory {
		p.Path, err = t.end(path)
	}
	return p, err
}

// end is where a path leads whose last name is a link.
func (t Tree) end(file string) (_ string, err error) {
	const most = 40 // as the kernel follows (path_resolution(7))
	for range most {
		fd, err := sys.OpenInRoot(t.FD, file, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			return "", err
		}
		target, err := sys.ReadlinkAt(fd, "")
		if err := errors.Join(err, sys.Close(fd)); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // it is none
			return file, nil
		} else if err != nil {
			return "", err
		}
		if !path.IsAbs(target) {
			dir, _ := path.Split(file) // not made shorter: what is before a .. may be a link as well
			target = dir + target
		}
		file = target
	}
	return "", fmt.Errorf("%s: %w", file, unix.ELOOP)
}

// errnoOf takes off what an error says of a path, where it is said already, and with other words.
func errnoOf(err error) error {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return err
}

// again opens what is held as a place for reading, whatever has its name by now (proc_pid_fd(5)).
func again(place int, flags int) (*os.File, error) {
	name := sys.FDPath(place)
	fd := -1
	err := sys.Retry(func() (err error) {
		fd, err = unix.Open(name, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// placeAt holds name of a directory open as a place; a link is held itself.
func placeAt(dir int, name string) (fd int, err error) {
	err = sys.Retry(func() (err error) {
		fd, err = unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// base is the last name of a path, "" where that is a root directory's.
func base(p string) string {
	if name := path.Base(path.Clean("/" + p)); name != "/" {
		return name
	}
	return ""
}
