package gpu

import (
	"errors"
	"fmt"
)

var (
	// ErrNoHelper is returned when the program that asks the driver is not there.
	ErrNoHelper = errors.New("the GPU helper is not installed")
	// ErrHelper is returned when the helper fails: it ends early, or says what is no answer.
	ErrHelper = errors.New("the GPU helper failed")
	// ErrHung is returned when the helper has not answered in time. It is killed then.
	ErrHung = errors.New("the GPU helper does not answer")
	// ErrVersion is returned when the helper speaks another version of the protocol.
	ErrVersion = errors.New("the GPU helper is of another version")
	// ErrClosed is returned for a helper that has been closed.
	ErrClosed = errors.New("the GPU helper has been closed")

	// ErrNoDriver is returned when there is no driver where it was looked for.
	ErrNoDriver = errors.New("no NVIDIA driver")
	// ErrDriver is returned when the driver is there and does not work.
	ErrDriver = errors.New("the NVIDIA driver does not work")
	// ErrPermission is returned when the caller may not open the devices.
	ErrPermission = errors.New("no permission for the GPUs")
	// ErrUnknownDevice is returned for a device that is not there, or is lost.
	ErrUnknownDevice = errors.New("no such GPU")
)

// kinds are the errors that a helper's failures become.
var kinds = map[FailureKind]error{
	NoDriver: ErrNoDriver, DriverBroken: ErrDriver, NotPermitted: ErrPermission, UnknownDevice: ErrUnknownDevice,
}

// error is the failure as an error. What only a mistake of one of the two programs brings about is the helper's failure.
func (f Failure) error() error {
	kind, ok := kinds[f.Kind]
	if !ok {
		kind = ErrHelper
	}
	if f.Message == "" {
		return kind
	}
	return fmt.Errorf("%w: %s", kind, f.Message)
}

var (
	// ErrSelection is returned for a selection of GPUs that says nothing sensible.
	ErrSelection = errors.New("bad selection of GPUs")
	// ErrTooFew is returned when there are fewer usable GPUs than were asked for.
	ErrTooFew = errors.New("not enough GPUs")
)
