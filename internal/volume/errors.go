package volume

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
)

var (
	// ErrNotFound means that there is no volume of this name.
	ErrNotFound = errors.New("no such volume")
	// ErrInUse means that a run uses the volume; the error is an *InUseError.
	ErrInUse = errors.New("volume is in use")
)

// InUseError says by which runs a volume is used.
type InUseError struct {
	Volume string
	Users  []User
}

// Error implements error.
func (e *InUseError) Error() string {
	var runs []string
	for _, u := range e.Users {
		runs = append(runs, u.label())
	}
	return fmt.Sprintf("%v: %s, by %s", ErrInUse, e.Volume, strings.Join(runs, ", "))
}

// Unwrap makes it an ErrInUse.
func (e *InUseError) Unwrap() error { return ErrInUse }

// Hint says what to do next.
func (e *InUseError) Hint() string {
	for _, u := range e.Users {
		if u.elsewhere() {
			return "wait for the run to end; when it was killed, any coracle command on " + u.Owner.Host + " tells that it has"
		}
	}
	return "wait for the run to end, or end it"
}

// ClaimedError says that another process is about to remove a volume, and does not go on.
type ClaimedError struct{ Volume, Path string }

// Error implements error.
func (e *ClaimedError) Error() string {
	owner, _ := fsx.TempOwner(filepath.Base(e.Path))
	return fmt.Sprintf("volume %s: process %d on %s is about to remove it, and does not go on", e.Volume, owner.PID, owner.Host)
}

// Hint says what to do next.
func (e *ClaimedError) Hint() string {
	owner, _ := fsx.TempOwner(filepath.Base(e.Path))
	return fmt.Sprintf("end that process; where %s has crashed, any coracle command that uses the volume there, or 'rm %s', frees it", owner.Host, e.Path)
}
