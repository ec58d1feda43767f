package container

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Helper is the program that connects the container's network, by the beginnings of the names that its process may have. The channel is
// closed when it has ended; the container's end brings that about as well. nil: it cannot be found.
func (b *Container) Helper(names ...string) <-chan struct{} {
	// It is a child of the keeper: slirp4netns was started by it, pasta left to it when it went into the background.
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", b.keeper.pid)) // the pattern is well-formed
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for pid := range strings.FieldsSeq(string(text)) {
			comm, err := os.ReadFile("/proc/" + pid + "/comm")
			if err != nil || !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(string(comm), name) }) {
				continue
			}
			if ended, err := watchProcess(pid); err == nil {
				return ended
			}
		}
	}
	return nil
}

// watchProcess waits for the end of a process that need not be a child (pidfd_open(2), Linux 5.3).
func watchProcess(text string) (<-chan struct{}, error) {
	var pid int
	if _, err := fmt.Sscan(text, &pid); err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sys.Retry(func() error {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			return err
		})
		_ = sys.Close(fd) // nothing was written
	}()
	return ended, nil
}
