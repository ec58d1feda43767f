package location

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/coracle-run/coracle/internal/fsx"
)

var (
	// ErrNoHome means that nothing says where the store is to be.
	ErrNoHome = errors.New("there is no home directory")
	// ErrNoLayerRoot means that no directory was found whose file system can hold layers.
	ErrNoLayerRoot = errors.New("no directory can hold image layers")
	// ErrNotOwned means that a directory of the store belongs to another user or can be written by others.
	ErrNotOwned = errors.New("directory is not safely the caller's")
)

// errLink is a link in the place of a directory of the store's.
var errLink = errors.New("a symbolic link")

// DirError is a directory of the store that is not there and cannot be made, or that something else is in the place of.
type DirError struct {
	Dir string
	Err error
}

// Error implements error.
func (e *DirError) Error() string {
	if e.inTheWay() {
		return e.Dir + " is there, and is no directory"
	}
	if errors.Is(e.Err, errLink) {
		return e.Dir + " is a symbolic link, where the store has a directory of its own"
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *DirError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *DirError) Hint() string {
	const choose = "with CORACLE_ROOT, or --layers for the layers alone"
	switch {
	case e.inTheWay():
		return "move it out of the way, or choose another place " + choose
	case errors.Is(e.Err, errLink):
		return "remove the link (a job that had the store among its volumes may have made it), and move back what is the store's; " +
			"to keep a store elsewhere, choose the place " + choose
	case fsx.IsFull(e.Err):
		return "free some space there, or choose another place " + choose
	}
	return "choose a directory that you may write to " + choose
}

func (e *DirError) inTheWay() bool {
	return errors.Is(e.Err, syscall.ENOTDIR) || errors.Is(e.Err, syscall.EEXIST)
}

// NoLayerRootError says what was tried and why it will not do. It is an ErrNoLayerRoot.
type NoLayerRootError struct{ Tried []error }

// Error implements error.
func (e *NoLayerRootError) Error() string {
	return fmt.Sprintf("%v: %s", ErrNoLayerRoot, strings.ReplaceAll(errors.Join(e.Tried...).Error(), "\n", "; "))
}

// Unwrap gives what was tried.
func (e *NoLayerRootError) Unwrap() []error { return append([]error{ErrNoLayerRoot}, e.Tried...) }

// Hint says what to do next.
func (e *NoLayerRootError) Hint() string {
	if fsx.IsFull(e) {
		return "make room in one of them, or name a directory on a local disk (ext4, XFS, btrfs) with --layers DIR or CORACLE_LAYERS"
	}
	return "name a directory on a local disk (ext4, XFS, btrfs) with --layers DIR or CORACLE_LAYERS"
}
