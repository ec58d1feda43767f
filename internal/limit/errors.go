package limit

import "errors"

// ErrNotEnforced marks a job that must not run, because a limit of it cannot be enforced.
var ErrNotEnforced = errors.New("limit cannot be enforced")

// notEnforcedError is a job that must not run, because it cannot be held to what was asked for.
type notEnforcedError struct {
	Text   string // what is missing, and why
	Advice string // what would help, or ""
}

func (e *notEnforcedError) Error() string { return "--require-limits: not enforced: " + e.Text }

// Unwrap tells what it is.
func (e *notEnforcedError) Unwrap() error { return ErrNotEnforced }

// Hint says what would help.
func (e *notEnforcedError) Hint() string { return e.Advice }
