package container

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/sys"
)

// Workshop is where the keeper mounts what the host and its volumes must not show: a directory that every host has and no volume
// comes from.
const Workshop = "/dev/pts"

// InWorkshop reports whether a clean path is there.
func InWorkshop(path string) bool { return path == Workshop || strings.HasPrefix(path, Workshop+"/") }

// What of the keeper's files others look at; see View.
const (
	viewProc = "proc"
	viewShm  = Workshop + "/dev/shm"
)

// View is what can be seen of a container's processes and memory from outside, by ways that nobody inside can change.
type View struct {
	keeper int     // its root directory
	shared *Shared // its keeper is somebody else's child
}

// View opens that of a running container. The keeper's pid is certain: what was opened is a child of this process.
func (b *Container) View() (*View, error) {
	if b.shared != nil {
		return &View{keeper: -1, shared: b.shared}, nil
	}
	pid := b.keeper.pid
	dir, err := sys.OpenDir("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	defer func() { _ = sys.Close(dir) }() // held for what is below it
	if err := ownChild(dir); err != nil {
		return nil, err
	}
	var root int
	err = sys.Retry(func() (err error) {
		root, err = unix.Openat(dir, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening the root directory of the container's keeper: %w", err)
	}
	return &View{keeper: root}, nil
}

// Pid is the keeper's, in the caller's pid namespace.
func (b *Container) Pid() int {
	if b.shared != nil {
		return b.shared.Keeper
	}
	return b.keeper.pid
}

// ownChild makes sure that the process of a directory of /proc is a child of this one: numbers are used again.
func ownChild(dir int) error {
	stat, err := proc.StatAt(dir, ".")
	if err != nil {
		return err
	}
	if stat.Parent != os.Getpid() {
		return ErrEnded
	}
	return nil
}

// Processes opens a /proc that shows the keeper as its first process, and beside it those of the container alone.
func (v *View) Processes() (fd int, err error) { return v.open(viewProc) }

// SharedMemory opens the container's /dev/shm.
func (v *View) SharedMemory() (fd int, err error) { return v.open(viewShm) }

func (v *View) open(path string) (int, error) {
	if v.shared != nil {
		return v.shared.open(path)
	}
	fd := -1
	err := sys.Retry(func() (err error) {
		fd, err = unix.Openat(v.keeper, strings.TrimPrefix(path, "/"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("opening %s of the container's keeper: %w", path, err)
	}
	return fd, nil
}

// Close lets go of the keeper's files; what was opened of them stays open.
func (v *View) Close() error {
	if v.shared != nil {
		return nil
	}
	return sys.Close(v.keeper)
}

// open opens a directory of the keeper's anew: with those that it has sent, every rank would read on where another has stopped.
func (s *Shared) open(path string) (fd int, err error) {
	name := map[string]string{viewProc: FileProc, viewShm: FileShm}[path]
	err = sys.Retry(func() (err error) {
		fd, err = unix.Openat(int(s.file(name).Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("opening %s of the shared container's keeper: %w", name, err)
	}
	return fd, nil
}
