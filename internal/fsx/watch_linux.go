package fsx

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// telling are file systems of which the kernel knows all changes: nobody makes them but through it.
var telling = map[int64]bool{
	unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true, unix.F2FS_SUPER_MAGIC: true,
	unix.TMPFS_MAGIC: true,
}

// errTellsNothing: nobody tells of the changes in a directory.
var errTellsNothing = errors.New("its file system does not tell of all changes")

// Watch is a directory of which the kernel tells when something changes in it.
type Watch struct {
	file    *os.File
	changed chan struct{}
}

// NewWatch watches a directory, and fails where not all changes would be told of.
func NewWatch(dir string) (*Watch, error) {
	w, err := newWatch(dir)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", dir, err)
	}
	return w, nil
}

func newWatch(dir string) (*Watch, error) {
	var at unix.Statfs_t
	if err := unix.Statfs(dir, &at); err != nil {
		return nil, os.NewSyscallError("statfs", err)
	}
	if !telling[at.Type] {
		return nil, errTellsNothing
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &Watch{file: os.NewFile(uintptr(fd), "inotify"), changed: make(chan struct{}, 1)}
	const changes = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if _, err := unix.InotifyAddWatch(fd, dir, changes|unix.IN_ONLYDIR); err != nil {
		return nil, errors.Join(os.NewSyscallError("inotify_add_watch", err), w.file.Close())
	}
	go w.listen()
	return w, nil
}

// listen passes on that there was something, once until it has been taken. It ends with Close.
func (w *Watch) listen() {
	buf := make([]byte, 4096) // of events with names, which are not looked at
	for {
		if _, err := w.file.Read(buf); err != nil {
			return
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// Changed has something when there was a change since the last was taken.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Close ends it.
func (w *Watch) Close() error { return w.file.Close() }
