package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// awaitPause is how often an owner is looked at that cannot be waited for: one on another host.
const awaitPause = time.Second

// Await waits for the end of the owner, or for a second where nothing tells of that, or until ctx is done. Whoever waits looks again
// afterwards.
func (o Owner) Await(ctx context.Context) error {
	self, err := Self()
	if err != nil {
		return err
	}
	if o.BootID != self.BootID || o.PIDSpace != self.PIDSpace {
		select {
		case <-ctx.Done():
		case <-time.After(awaitPause):
		}
		return nil
	}
	fd, err := unix.PidfdOpen(o.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", o.PID, err)
	}
	defer unix.Close(fd)
	for !o.Dead() && ctx.Err() == nil { // the number may have been another's from the beginning
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, int(awaitPause/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for process %d: %w", o.PID, err)
		}
		if poll[0].Revents != 0 {
			return nil
		}
	}
	return nil
}
