package store

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/coracle-run/coracle/internal/fsx"
)

var (
	// ErrNotFound means that no stored image has this name, digest or id.
	ErrNotFound = errors.New("no such image in the store")
	// ErrAmbiguous means that a shortened id fits several images; the error is an *AmbiguousError.
	ErrAmbiguous = errors.New("the id fits several images")
	// ErrInUse means that a run still uses the image; the error is an *InUseError.
	ErrInUse = errors.New("image is in use")
	// ErrCorrupt means that a stored manifest or configuration is not what its digest says. Pulling again repairs it.
	ErrCorrupt = errors.New("stored image is damaged")
	// ErrNoHome means that nothing says where the store is to be.
	ErrNoHome = errors.New("there is no home directory")
	// ErrNoLayerRoot means that no directory was found whose file system can hold layers.
	ErrNoLayerRoot = errors.New("no directory can hold image layers")
	// ErrNotOwned means that a directory of the store belongs to another user or can be written by others.
	ErrNotOwned = errors.New("directory is not safely the caller's")
	// ErrExists means that an upper of this id is there already.
	ErrExists = errors.New("already exists")
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

// AmbiguousError lists what a shortened id fits.
type AmbiguousError struct {
	ID   string
	Fits []string // manifest digests
}

// Error implements error.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("image %s: %v: %s", e.ID, ErrAmbiguous, strings.Join(e.Fits, ", "))
}

// Is makes the error an ErrAmbiguous.
func (e *AmbiguousError) Is(target error) bool { return target == ErrAmbiguous }

// InUseError names the runs that hold an image.
type InUseError struct {
	Image string
	Runs  []string // names of runs, or their ids where they have none
}

// Error implements error.
func (e *InUseError) Error() string {
	return fmt.Sprintf("image %s: %v by %s", e.Image, ErrInUse, strings.Join(e.Runs, ", "))
}

// Is makes the error an ErrInUse.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// Hint says what to do next.
func (e *InUseError) Hint() string { return "wait for the run to end, or stop it" }
