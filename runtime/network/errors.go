package network

import "errors"

var (
	// ErrOption marks a mistake in what was asked for.
	ErrOption = errors.New("bad option")
	// ErrPort marks a port of the host that cannot be had.
	ErrPort = errors.New("cannot publish a port")
	// ErrHelper marks a host without a program for private networks, or without what that program needs.
	ErrHelper = errors.New("no private network on this host")
)
