package record

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound is returned when no record has the asked id or name.
	ErrNotFound = errors.New("no such run")
	// ErrAmbiguous is returned, inside an [AmbiguousError], when a shortened id fits several records.
	ErrAmbiguous = errors.New("more than one run fits")
	// ErrFinished is returned by a writer that is used after Finish, and by MarkLost on a record that has its result.
	ErrFinished = errors.New("the run has its result already")
	// ErrRunning is returned for a record that cannot be removed, or closed as lost, because its run goes on.
	ErrRunning = errors.New("the run goes on")
	// ErrDamaged is returned for a record whose run.json cannot be read.
	ErrDamaged = errors.New("the record is damaged")
)

// AmbiguousError lists the runs that a shortened id may mean.
type AmbiguousError struct {
	Asked string
	IDs   []string // newest first
}

// Error names the candidates, as many as fit in a line.
func (e *AmbiguousError) Error() string {
	const shown = 4
	ids := e.IDs[:min(len(e.IDs), shown)]
	more := ""
	if n := len(e.IDs) - len(ids); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("%v: %s%s", ErrAmbiguous, strings.Join(ids, ", "), more)
}

// Unwrap makes errors.Is(err, ErrAmbiguous) true.
func (e *AmbiguousError) Unwrap() error { return ErrAmbiguous }
