package fsx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// flock is flock(2), which tests make fail as file systems do that have no locks.
var flock = unix.Flock

// Lock takes the lock file path, waiting for whoever holds it, and returns what lets go of it and removes the file. The
// kernel lets go when the process ends, however it ends, and wakes those that wait at once.
//
// It is a hint that saves work, never what makes a result right: on some network file systems flock does nothing, and
// there two processes both get the lock. On a full disk, where the file cannot be made, everybody gets it. What must be
// right is decided by rename.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	return lock(path, func(f *os.File) error {
		err := lockFile(f, unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		return await(ctx, f, path)
	})
}

// TryLock is Lock without waiting: the error is EWOULDBLOCK when somebody else holds the lock.
func TryLock(path string) (unlock func() error, err error) {
	return lock(path, func(f *os.File) error { return lockFile(f, unix.LOCK_EX|unix.LOCK_NB) })
}

// errGivenUp marks a wait that has ended while the kernel still waits with the file, which is then the waiter's to close.
var errGivenUp = errors.New("given up")

// lock opens the lock file and has take lock it, until the file is still the one that path names.
func lock(path string, take func(*os.File) error) (unlock func() error, err error) {
	for {
		var f *os.File
		err := Step("lock", path)
		if err == nil {
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		}
		if IsFull(err) {
			return func() error { return nil }, nil // what makes room must not need any
		}
		if err != nil {
			return nil, fmt.Errorf("locking: %w", err)
		}
		unlock := func() error { return errors.Join(IgnoreMissing(os.Remove(path)), f.Close()) }
		if err = Step("flock", path); err == nil {
			err = take(f)
		}
		switch {
		case errors.Is(err, errGivenUp):
			return nil, err
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		case err != nil:
			// This file system has no locks: go on without, as the contract says.
			return unlock, nil //nolint:nilerr // by intent
		}
		current, err := IsCurrent(f, path)
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

// await waits in the kernel for a lock that is held. When the context ends first, the file is left to the call that waits:
// it has no end but the lock, and lets go of that at once.
func await(ctx context.Context, f *os.File, path string) error {
	got := make(chan error)
	go func() {
		err := lockFile(f, unix.LOCK_EX)
		select {
		case got <- err:
		case <-ctx.Done():
			_ = f.Close() // nobody is left to tell
		}
	}()
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the lock %s: %w: %w", path, errGivenUp, context.Cause(ctx))
	}
}

func lockFile(f *os.File, how int) error {
	for {
		if err := flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// RemoveLock removes the file of a lock from an open directory, unless somebody holds it, or it is not there any more.
func RemoveLock(dir *os.File, name string) (err error) {
	path := filepath.Join(dir.Name(), name)
	if err := Step("lock", path); err != nil {
		return err
	}
	parent := int(dir.Fd())
	fd, err := sys.OpenBeneath(parent, name, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return IgnoreMissing(err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := lockFile(f, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	ours, err := sys.Stat(fd, path)
	if err != nil {
		return err
	}
	theirs, err := sys.StatAt(parent, name)
	if err != nil || theirs.Ino != ours.Ino || theirs.Dev != ours.Dev { // its holder has removed it, and another may have made one
		return IgnoreMissing(err)
	}
	return IgnoreMissing(sys.UnlinkAt(parent, name))
}

// Hold takes a shared lock on a directory, for as long as the file it returns is open. systemd-tmpfiles(8) ages nothing in
// and below a directory that somebody has locked (tmpfiles.d(5), "Age"). Where there are no locks, or where it is being
// aged at this moment, the directory is held by being open only.
func Hold(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	_ = lockFile(f, unix.LOCK_SH|unix.LOCK_NB) // a hint, as all locks here
	return f, nil
}

// IsLocked reports whether another open file holds a lock on what f is. Where there are no locks nobody does.
func IsLocked(f *os.File) (bool, error) {
	err := lockFile(f, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, nil //nolint:nilerr // no locks here
	}
	return false, lockFile(f, unix.LOCK_UN)
}

// IsCurrent reports whether path still names the open file: a lock on one that it does not name excludes nobody.
func IsCurrent(f *os.File, path string) (bool, error) {
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
