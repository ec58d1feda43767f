package unpack

import (
	"errors"
	"fmt"
)

var (
	// ErrEscape means that an entry names a place outside of its layer.
	ErrEscape = errors.New("entry leaves its layer")
	// ErrLayer means that the stream is no well-formed layer.
	ErrLayer = errors.New("malformed layer")
	// ErrLimit means that a layer asks for more than Limits allow.
	ErrLimit = errors.New("layer exceeds a limit")
)

// EntryError names the entry at which a layer failed. The name is the archive's own and is printed quoted.
type EntryError struct {
	Name string
	Err  error
}

// Error implements error.
func (e *EntryError) Error() string { return fmt.Sprintf("layer entry %.300q: %v", e.Name, e.Err) }

// Unwrap gives the cause.
func (e *EntryError) Unwrap() error { return e.Err }
