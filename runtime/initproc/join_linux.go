package initproc

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/sys"
)

// namespaces opens those of the container that are not the keeper's own, the mount namespace last. That is the job's, given by its pid
// in the container, where the job has another one than init.
func (a *annex) namespaces(job int) (files []*os.File, err error) {
	for _, name := range []string{"ipc", "uts", "cgroup", "net", "pid", "mnt"} {
		process := a.init
		if name == "mnt" && a.keeper.fence != nil {
			if process, err = findProcess(job); err != nil {
				return files, err
			}
		}
		file, err := os.Open(process + "/ns/" + name)
		if errors.Is(err, os.ErrNotExist) {
			continue // the kernel was built without
		}
		if err != nil {
			return files, fmt.Errorf("opening the container's %s namespace: %w", name, err)
		}
		if own, err := sameNamespace(file, "/proc/self/ns/"+name); err != nil || own {
			if err := errors.Join(err, file.Close()); err != nil {
				return files, err
			}
			continue
		}
		files = append(files, file)
	}
	return files, nil
}

// sameNamespace tells whether a namespace is the one of a path.
func sameNamespace(file *os.File, path string) (bool, error) {
	theirs, err := file.Stat()
	if err != nil {
		return false, err
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(theirs, other), err
}

// jobNamespace is the user namespace that init gave to the job. The job may have gone on to one further in; the one that counts
// is that whose parent is the keeper's, or the fence.
func (a *annex) jobNamespace(pid int) (*os.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.job != nil {
		return a.job, nil
	}
	around := "/proc/self/ns/user"
	if f := a.keeper.fence; f != nil {
		around = sys.FDPath(int(f.user.Fd()))
	}
	process, err := findProcess(pid)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(process + "/ns/user")
	for err == nil {
		fd, parentErr := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_PARENT)
		if parentErr != nil {
			return nil, errors.Join(fmt.Errorf("finding the job's user namespace: %w", parentErr), file.Close())
		}
		parent := os.NewFile(uintptr(fd), "user")
		found, err := sameNamespace(parent, around)
		if found || err != nil {
			a.job = file
			return file, errors.Join(err, parent.Close())
		}
		_ = file.Close() // held for its parent only
		file = parent
	}
	return nil, err
}

// findProcess is the directory in /proc of a process by its pid in the container.
func findProcess(pid int) (_ string, err error) {
	list, err := sys.OpenDir("/proc")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, sys.Close(list)) }()
	outside, err := proc.FindInit(list, pid)
	if err == nil && outside == 0 {
		err = errors.New("the job's process is gone")
	}
	return "/proc/" + strconv.Itoa(outside), err
}
