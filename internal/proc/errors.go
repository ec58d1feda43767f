package proc

import "errors"

var (
	// ErrFormat says that a text is not as proc(5) has it.
	ErrFormat = errors.New("not as proc(5) says")
	// ErrPeerGone says that the process that was at the other end of a socket has ended.
	ErrPeerGone = errors.New("the process at the other end has ended")
)
