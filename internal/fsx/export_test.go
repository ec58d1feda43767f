package fsx

import "syscall"

// WithoutLocks makes the file system one that has no locks, until restore is called.
func WithoutLocks() (restore func()) {
	old := flock
	flock = func(int, int) error { return syscall.ENOLCK }
	return func() { flock = old }
}

// WithoutNameless makes the file system one that has no files without a name, until restore is called.
func WithoutNameless() (restore func()) {
	old := openNameless
	openNameless = func(string, int, uint32) (int, error) { return -1, syscall.EOPNOTSUPP }
	return func() { openNameless = old }
}
