package index

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Racy is how long a directory must have been unchanged before an entry may go by the time of its change: a file system that counts
// in seconds would not show another one in the same second.
const Racy = 2 * time.Second

// Writer is an index in the making.
type Writer struct {
	file *os.File
	// before is the time until which changes count, by the clock of the file system that they are on, and before anything is read.
	before int64
}

// Begin is called before what is to be in an index is read. Directories that have changed less than so long ago are left out. tmp is
// a directory on their file system.
func Begin(tmp string, racy time.Duration) (*Writer, error) {
	name, err := fsx.TempName()
	if err != nil {
		return nil, err
	}
	file, err := fsx.CreateExclusive(filepath.Join(tmp, name), 0o600)
	if err != nil {
		return nil, err
	}
	w := &Writer{file: file}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, w.drop())
	}
	w.before = info.ModTime().Add(-racy).UnixNano()
	return w, nil
}

// Finish puts an index in its place. Entries without an id or a time are left out.
func (w *Writer) Finish(path string, entries []Entry, form Form) error {
	if _, err := w.file.Write(encode(lasting(entries, w.before), form)); err != nil {
		return errors.Join(err, w.drop())
	}
	if err := fsx.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return errors.Join(err, w.drop())
	}
	if err := fsx.Rename(w.file.Name(), path); err != nil {
		return errors.Join(err, w.drop())
	}
	return w.file.Close()
}

// drop gives it up.
func (w *Writer) drop() error { return errors.Join(w.file.Close(), os.Remove(w.file.Name())) }
