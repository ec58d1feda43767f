package transfer

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"
)

// Wanted is a path as it was typed, by docker's rules.
type Wanted struct {
	Path     string
	Contents bool // it ends with /. : of a directory what is in it, and not itself
	Slash    bool // it ends with a slash: a link there is followed, and a file is a mistake
}

// Want reads a path.
func Want(text string) Wanted {
	w := Wanted{Path: path.Clean(text), Contents: text == "." || strings.HasSuffix(text, "/.")}
	w.Slash = w.Contents || strings.HasSuffix(text, "/")
	return w
}

// Base is the name that a copy of it has in another directory; "" for a root directory, of which only what is in it can be copied.
func (w Wanted) Base() string {
	if w.Contents {
		return ""
	}
	return base(w.Path)
}

// Check refuses a source that is not there, or is no directory where one was asked for.
func (w Wanted) Check(what Place) error {
	switch {
	case !what.There:
		return fmt.Errorf("%s: %w", w.Path, syscall.ENOENT)
	case w.Slash && !what.Directory:
		return fmt.Errorf("%s: %w", w.Path, syscall.ENOTDIR)
	}
	return nil
}

// Into decides where a source goes, directory or not, when it is copied to a path at which there is what at says: into which
// directory, and by which name; "" when its content goes there.
func (w Wanted) Into(at Place, source Wanted, directory bool) (dir, as string, err error) {
	switch {
	case at.Directory:
		return w.Path, source.Base(), nil
	case at.There && directory:
		return "", "", fmt.Errorf("%s: a directory cannot be copied to a file: %w", w.Path, syscall.ENOTDIR)
	case at.There && w.Slash:
		return "", "", fmt.Errorf("%s: %w", w.Path, syscall.ENOTDIR)
	case at.There && at.Path != "": // what a link leads to is replaced, and not the link
		dir, as = path.Split(at.Path)
		return dir, as, nil
	case !at.There && !directory && w.Slash:
		return "", "", fmt.Errorf("%s: %w", w.Path, syscall.ENOENT)
	}
	return path.Dir(w.Path), path.Base(w.Path), nil
}

// Through passes what a source writes to a target, and returns why the first of them failed.
func Through(source func(io.Writer) error, target func(io.Reader) error) error {
	r, w := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := source(w)
		wrote <- err
		_ = w.CloseWithError(err) // never fails
	}()
	targetErr := target(r)
	if targetErr == nil {
		_, targetErr = io.Copy(io.Discard, r) // what follows the end of the archive
	}
	_ = r.CloseWithError(errStopped) // likewise
	sourceErr := <-wrote
	if errors.Is(sourceErr, errStopped) {
		return targetErr
	}
	if sourceErr != nil {
		return sourceErr
	}
	return targetErr
}

// errStopped is what a source meets whose target has failed.
var errStopped = errors.New("nobody takes the rest")
