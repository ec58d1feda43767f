package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// awaitPause is how often an owner is looked at that cannot be waited for: one on another host.
const awaitPause = time.Second

// Await waits for the end of the owner, or for a second where nothing tells of that, or until ctx is done. Whoever waits looks again
// afterwards.
func (o Owner) Await(ctx context.Context) error {
	switch err := o.Here(); {
	case errors.Is(err, ErrElsewhere):
		select {
		case <-ctx.Done():
		case <-time.After(awaitPause):
		}
		return nil
	case err != nil:
		return err
	}
	fd, err := unix.PidfdOpen(o.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", o.PID, err)
	}
	defer unix.Close(fd)
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", o.PID, os.NewSyscallError("eventfd", err))
	}
	defer unix.Close(wake)
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // of eight bytes, into an empty one, never fails
	})
	defer func() {
		if !stop() {
			<-woken
		}
	}()
	if o.Dead() { // the number may have been another's from the beginning
		return nil
	}
	return awaitEither(o.PID, fd, wake)
}

// awaitEither waits until one of two descriptors has something to say, and for nothing else.
func awaitEither(pid int, fds ...int) error {
	var poll []unix.PollFd
	for _, fd := range fds {
		poll = append(poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	for {
		if _, err := unix.Poll(poll, -1); !errors.Is(err, unix.EINTR) {
			if err != nil {
				return fmt.Errorf("waiting for process %d: %w", pid, err)
			}
			return nil
		}
	}
}
