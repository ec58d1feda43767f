package container

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/sys"
)

// OpenRoot opens, as a place, the root directory of a container's first process, with everything that is mounted for the job. keeper and
// supervisor are the processes that the run's supervisor has named. ErrEnded: there is no such process any more.
func OpenRoot(keeper, supervisor int) (fd int, err error) {
	dir, err := sys.OpenDir("/proc/" + strconv.Itoa(keeper))
	if err != nil {
		return -1, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	defer func() { err = errors.Join(err, sys.Close(dir)) }()
	if stat, err := proc.StatAt(dir, "."); err != nil || stat.Parent != supervisor {
		return -1, errors.Join(ErrEnded, err)
	}
	// What is found below is found by the keeper's own /proc, in which nobody else's processes are.
	root, err := placeIn(dir, "root")
	if err != nil {
		return -1, fmt.Errorf("opening the root directory of the container's keeper: %w", err)
	}
	defer func() { err = errors.Join(err, sys.Close(root)) }()
	processes, err := placeIn(root, viewProc)
	if err != nil {
		return -1, fmt.Errorf("opening the processes of the container's keeper: %w", err)
	}
	list, err := again(processes)
	if err != nil {
		return -1, fmt.Errorf("opening the processes of the container's keeper: %w", errors.Join(err, sys.Close(processes)))
	}
	defer func() { err = errors.Join(err, list.Close(), sys.Close(processes)) }()
	names, err := list.Readdirnames(-1)
	if err != nil {
		return -1, err
	}
	for _, name := range names {
		if _, err := strconv.Atoi(name); err != nil {
			continue
		}
		if fd, err := rootOfFirst(processes, name); err == nil {
			return fd, nil
		}
	}
	return -1, ErrEnded
}

// again opens a place for reading.
func again(place int) (*os.File, error) {
	fd := -1
	err := sys.Retry(func() (err error) {
		fd, err = unix.Openat(place, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return os.NewFile(uintptr(fd), "proc"), err
}

// placeIn opens a directory, or what a link of /proc leads to, as a place.
func placeIn(dir int, name string) (fd int, err error) {
	err = sys.Retry(func() (err error) {
		fd, err = unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// rootOfFirst opens the root directory of a process, if it is the first one of a pid namespace right below the keeper's, and the
// keeper's child: the container's init, or a job that is its own. What a job starts is neither.
func rootOfFirst(processes int, name string) (fd int, err error) {
	dir, err := placeIn(processes, name)
	if err != nil {
		return -1, err
	}
	defer func() { err = errors.Join(err, sys.Close(dir)) }()
	if stat, err := proc.StatAt(dir, "."); err != nil || stat.Parent != 1 {
		return -1, errors.Join(ErrEnded, err)
	}
	status, err := proc.StatusAt(dir, ".")
	if err != nil {
		return -1, err
	}
	if pids := status.PIDs(); len(pids) != 2 || pids[1] != 1 { // as this /proc counts them, and as its own namespace does
		return -1, ErrEnded
	}
	return placeIn(dir, "root")
}
