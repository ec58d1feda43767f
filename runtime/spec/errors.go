package spec

import "errors"

var (
	// ErrImage marks an image whose configuration cannot be run.
	ErrImage = errors.New("bad image configuration")
	// ErrOption marks an option that makes no sense.
	ErrOption = errors.New("bad option")
)
