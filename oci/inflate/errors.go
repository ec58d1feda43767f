package inflate

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt means that the stream is not what a compressor writes. The error is an *Error. A stream that is cut ends in
	// io.ErrUnexpectedEOF instead.
	ErrCorrupt = errors.New("corrupt gzip stream")

	// ErrHeader is the ErrCorrupt of something that is no gzip header, at the beginning or after the end of a member.
	ErrHeader = errors.New("no gzip header")

	// ErrChecksum is the ErrCorrupt of content that its member's trailer contradicts.
	ErrChecksum = errors.New("wrong checksum or size")
)

// What else can be wrong with a stream; of interest to people only.
var (
	errBlockType  = errors.New("unknown block type")
	errStored     = errors.New("the length of a stored block contradicts itself")
	errAlphabet   = errors.New("too many codes")
	errCode       = errors.New("a code that is incomplete or ambiguous")
	errRepeat     = errors.New("a repetition without or beyond the lengths of codes")
	errUnused     = errors.New("a symbol that has no code or no meaning")
	errDistance   = errors.New("a distance beyond the beginning")
	errNoProgress = errors.New("the source brings neither bytes nor an error")
)

// Error says where a stream is corrupt. It is an ErrCorrupt, and what Err is.
type Error struct {
	Offset int64 // of the compressed stream, behind the bytes that are wrong
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%v before byte %d: %v", ErrCorrupt, e.Offset, e.Err)
}

// Unwrap gives the sentinels.
func (e *Error) Unwrap() []error { return []error{ErrCorrupt, e.Err} }
