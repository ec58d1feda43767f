package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/coracle-run/coracle/internal/fsx"
)

var (
	// ErrArchive means a file or directory that holds no images, or damaged ones.
	ErrArchive = errors.New("not an image archive that can be read")
	// ErrNoImage means that an archive has no image of a name, or several and none was named; the error is a *NoImageError.
	ErrNoImage = errors.New("which image of the archive is not clear")
	// ErrBadName means a name that begins like one of an archive and goes on otherwise.
	ErrBadName = errors.New("not the name of an image in an archive")
)

// NoImageError lists what an archive has. It is an ErrNoImage.
type NoImageError struct {
	Path string
	Name string   // what was asked for, "" for the only one
	Have []string // may be empty
}

// Error implements error.
func (e *NoImageError) Error() string {
	if len(e.Have) == 0 {
		return e.Path + ": there is no image in it"
	}
	what := "no image " + e.Name
	if e.Name == "" {
		what = fmt.Sprintf("%d images, and none is named", len(e.Have))
	}
	return fmt.Sprintf("%s: %s; it has %s", e.Path, what, strings.Join(e.Have, ", "))
}

// Is makes the error an ErrNoImage.
func (e *NoImageError) Is(target error) bool { return target == ErrNoImage }

// Hint says what to do next.
func (e *NoImageError) Hint() string {
	if len(e.Have) == 0 {
		return "was it written to its end?"
	}
	return "name one after the path, as in docker-archive:" + e.Path + ":" + e.Have[0]
}

// OutputError is a failure of the file or directory that an archive is written to.
type OutputError struct {
	Path string
	Err  error
}

// Error implements error.
func (e *OutputError) Error() string { return fmt.Sprintf("writing %s: %v", e.Path, plainError(e.Err)) }

// Unwrap gives the cause.
func (e *OutputError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *OutputError) Hint() string {
	switch {
	case errors.Is(e.Err, fs.ErrNotExist), errors.Is(e.Err, syscall.ENOTDIR):
		return "make the directory that it shall be in first, or choose another place"
	case errors.Is(e.Err, syscall.EISDIR), errors.Is(e.Err, fs.ErrExist), fsx.IsNotEmpty(e.Err):
		return "choose a name that is free"
	case errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.EROFS):
		return "choose a place that you may write to"
	case fsx.IsFull(e.Err):
		return "make room there, or choose a place on another disk; without -o the archive goes to standard output"
	}
	return ""
}

// output makes an error, if it is one, that of what is written to.
func output(path string, err error) error {
	if err == nil {
		return nil
	}
	return &OutputError{Path: path, Err: err}
}

// damaged is an ErrArchive with a reason.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrArchive, fmt.Errorf(format, args...))
}
