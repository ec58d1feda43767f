package fsx

import "syscall"

// WithoutLocks makes the file system one that has no locks, until restore is called.
func WithoutLocks() (restore func()) {
	old := flock
	flock = func(int, int) error { return syscall.ENOLCK }
	return func() { flock = old }
}

// OnBlocking calls f whenever somebody is about to wait in the kernel for a lock, until restore is called.
func OnBlocking(f func()) (restore func()) {
	old := flock
	flock = func(fd, how int) error {
		if how == syscall.LOCK_EX {
			f()
		}
		return old(fd, how)
	}
	return func() { flock = old }
}

// WithoutNameless makes the file system one that has no files without a name, until restore is called.
func WithoutNameless() (restore func()) {
	old := openNameless
	openNameless = func(string, int, uint32) (int, error) { return -1, syscall.EOPNOTSUPP }
	return func() { openNameless = old }
}
