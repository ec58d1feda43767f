package fsx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrTooLarge means that a file is larger than its reader bears.
var ErrTooLarge = errors.New("too large")

// ReadFile reads a file of at most so many bytes that somebody else has put there. A named pipe that nobody writes to is
// empty, and holds nobody up; one with a writer, as in a shell's <(command), is read to its end.
func ReadFile(path string, most int64) (raw []byte, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if raw, err = io.ReadAll(io.LimitReader(f, most+1)); err != nil {
		return nil, err
	}
	if int64(len(raw)) > most {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: more than %d bytes", ErrTooLarge, most)}
	}
	return raw, nil
}
