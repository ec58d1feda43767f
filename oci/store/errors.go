package store

import (
	"errors"
	"fmt"
	"strings"
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
	// ErrExists means that an upper of this id is there already.
	ErrExists = errors.New("already exists")
)

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
