package sys

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Child is a child process that package os has not started: os.FindProcess starts one more to find out whether there are pidfds, and
// does not tell it from a later one of the same number.
type Child struct {
	pid int

	mu   sync.Mutex
	over bool // it has been reaped: the number may be somebody else's
}

// NewChild is the child of this process with a number. Nobody else may wait for it.
func NewChild(pid int) *Child { return &Child{pid: pid} }

// Kill sends a signal to the child, or to the process group that it leads. The error is os.ErrProcessDone when it has been waited for.
func (c *Child) Kill(signal unix.Signal, group bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return os.ErrProcessDone
	}
	pid := c.pid
	if group {
		pid = -pid
	}
	return os.NewSyscallError("kill", unix.Kill(pid, signal))
}

// Wait waits for the end of the child. It is called once.
func (c *Child) Wait() (status syscall.WaitStatus, usage syscall.Rusage) {
	AwaitEnd(c.pid)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for {
		_, err := syscall.Wait4(c.pid, &status, 0, &usage)
		if !errors.Is(err, unix.EINTR) {
			return status, usage
		}
	}
}

// AwaitEnd waits for the end of a child, and leaves it to be reaped.
func AwaitEnd(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}
