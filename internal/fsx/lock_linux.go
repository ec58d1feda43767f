package fsx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the pause between two attempts at a lock.
const minPause, maxPause = 5 * time.Millisecond, 250 * time.Millisecond

// flock is flock(2), which tests make fail as file systems do that have no locks.
var flock = unix.Flock

// Lock takes the lock file path, waiting for whoever holds it, and returns what lets go of it and removes the file. The
// kernel lets go when the process ends, however it ends.
//
// It is a hint that saves work, never what makes a result right: on some network file systems flock does nothing, and
// there two processes both get the lock. On a full disk, where the file cannot be made, everybody gets it. What must be
// right is decided by rename.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		unlock, err := TryLock(path)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// TryLock is Lock without waiting: the error is EWOULDBLOCK when somebody else holds the lock.
func TryLock(path string) (unlock func() error, err error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if IsFull(err) {
			return func() error { return nil }, nil // what makes room must not need any
		}
		if err != nil {
			return nil, fmt.Errorf("locking: %w", err)
		}
		unlock := func() error { return errors.Join(ignoreMissing(os.Remove(path)), f.Close()) }
		switch err := flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EINTR):
			err = f.Close()
			if err != nil {
				return nil, err
			}
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		case err != nil:
			// This file system has no locks: go on without, as the contract says.
			return unlock, nil //nolint:nilerr // by intent
		}
		current, err := isCurrent(f, path)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if current {
			return unlock, nil
		}
		// The holder before us removed the file between our open and our lock: what we hold is no longer the lock.
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// isCurrent reports whether path still names the open file.
func isCurrent(f *os.File, path string) (bool, error) {
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	theirs, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, theirs), err
}
