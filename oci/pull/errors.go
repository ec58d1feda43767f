package pull

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store"
)

// ErrDiskFull means that a layer did not fit on the disk, or into the user's quota. The error is a *DiskFullError.
var ErrDiskFull = errors.New("no space left for the image")

// DiskFullError says where there is no space left, and of what.
type DiskFullError struct {
	Dir string // of the layers
	Err error

	Inodes int64 // of the file system, when they were all used when it happened; else 0
	Free   int64 // bytes, then
}

// Error implements error.
func (e *DiskFullError) Error() string {
	if e.Inodes == 0 {
		return fmt.Sprintf("%v in %s: %v", ErrDiskFull, e.Dir, e.Err)
	}
	return fmt.Sprintf("%v in %s: its file system can have %d files, and has them (%s are free): %v", ErrDiskFull, e.Dir, e.Inodes, size(e.Free), e.Err)
}

// Unwrap gives the sentinel and the cause.
func (e *DiskFullError) Unwrap() []error { return []error{ErrDiskFull, e.Err} }

// Hint says what to do next.
func (e *DiskFullError) Hint() string {
	if errors.Is(e.Err, syscall.EDQUOT) {
		return "your quota there is used up: " + roomHint
	}
	if e.Inodes > 0 {
		return roomHint + "; 'df -i' shows which have inodes left"
	}
	return roomHint
}

// explainFull makes a full disk a DiskFullError. It looks what is used up, and so is to be called before anything is cleaned up.
func explainFull(st *store.Store, err error) error {
	if !fsx.IsFull(err) || errors.Is(err, ErrDiskFull) {
		return err
	}
	full := &DiskFullError{Dir: st.Dirs().Layers, Err: err}
	if fs, err := host.StatFilesystem(full.Dir); err == nil && fs.InodesFree == 0 {
		full.Inodes, full.Free = fs.Inodes, fs.Free
	}
	return full
}
