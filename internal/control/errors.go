package control

import "errors"

// The errors of Dial and Call, beside *Error.
var (
	ErrOver    = errors.New("the run is over")
	ErrNotYet  = errors.New("its job does not run yet")
	ErrForeign = errors.New("somebody else answers in place of the run's supervisor")
)

// The kinds of errors that every operation may end with.
const (
	KindUnknown  = "unknown-operation" // the supervisor is of another version
	KindBusy     = "busy"              // there are too many connections
	KindStranger = "stranger"          // the peer has not shown that it is outside of all containers
	KindRequest  = "request"           // what came is no request
)

// Error is a failure that the supervisor reports.
type Error struct {
	Kind    string // "": none that the operation tells apart
	Message string
}

func (e *Error) Error() string { return e.Message }

var (
	errTooLong  = errors.New("a message that is too long")
	errTooMany  = errors.New("a message with too many descriptors")
	errStranger = errors.New("the caller has not shown that it is outside of all containers")
)
