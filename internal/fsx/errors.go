package fsx

import (
	"errors"
	"io/fs"
	"syscall"
)

// IsFull reports whether an error means that a disk, a quota or the inodes of a file system are used up.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// IsNotEmpty reports whether a directory could not be replaced or removed because it has entries: another writer won.
func IsNotEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
}

// IgnoreMissing is the error, or nil where it says that there is no such file.
func IgnoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
