package supervise

import "errors"

// Errors of OpPause and OpUnpause, and of whoever needs a job that is not paused (Moving).
var (
	// ErrPaused says that the job is paused already, or has to go on first.
	ErrPaused = errors.New("the job is paused")
	// ErrNotPaused says that there is nothing to let go on.
	ErrNotPaused = errors.New("the job is not paused")
)

// errJoint says that other ranks would be paused along with the job.
var errJoint = errors.New("the job shares its container with other ranks, of which one alone is not paused")
