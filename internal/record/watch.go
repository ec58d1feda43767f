package record

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// watchedName is a file of a running record whose date says when somebody last looked.
const watchedName = "watched"

// watchLasts is how long a look counts.
const watchLasts = 3 * time.Second

// Watch asks the supervisor of a running job to write each sample down at once, for some seconds. A supervisor on another host may
// hear of it late, and one that is gone never.
func (v View) Watch() (err error) {
	name := filepath.Join(v.Dir, watchedName)
	file, err := fsx.AppendFile(name, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Chtimes(name, time.Time{}, time.Now()))
}

// Watched reports whether somebody looks (Watch).
func (w *Writer) Watched() bool {
	info, err := os.Stat(filepath.Join(w.dir, watchedName))
	return err == nil && time.Since(info.ModTime()).Abs() < watchLasts
}

// unwatch takes the file away.
func (w *Writer) unwatch() error {
	if err := os.Remove(filepath.Join(w.dir, watchedName)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
