package cdi

import "errors"

var (
	// ErrName is returned for what is no VENDOR/CLASS=NAME.
	ErrName = errors.New("bad name of a CDI device")
	// ErrNotFound is returned when no specification has the device.
	ErrNotFound = errors.New("no such CDI device")
	// ErrSpec is returned for a specification that cannot be understood, or asks for what cannot be had.
	ErrSpec = errors.New("bad CDI specification")
	// ErrOwner is returned for a specification that somebody else may have written.
	ErrOwner = errors.New("a CDI specification that is not to be trusted")
)
