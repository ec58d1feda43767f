package pull

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
)

// ErrDiskFull means that a layer did not fit on the disk, or into the user's quota. The error is a *DiskFullError.
var ErrDiskFull = errors.New("no space left for the image")

// DiskFullError says where there is no space left.
type DiskFullError struct {
	Dir string // of the layers
	Err error
}

// Error implements error.
func (e *DiskFullError) Error() string { return fmt.Sprintf("%v in %s: %v", ErrDiskFull, e.Dir, e.Err) }

// Unwrap gives the sentinel and the cause.
func (e *DiskFullError) Unwrap() []error { return []error{ErrDiskFull, e.Err} }

// Hint says what to do next.
func (e *DiskFullError) Hint() string {
	if errors.Is(e.Err, syscall.EDQUOT) {
		return "your quota there is used up: " + roomHint
	}
	return roomHint
}

// explainFull makes a full disk a DiskFullError.
func explainFull(st *store.Store, err error) error {
	if fsx.IsFull(err) && !errors.Is(err, ErrDiskFull) {
		return &DiskFullError{Dir: st.Dirs().Layers, Err: err}
	}
	return err
}
