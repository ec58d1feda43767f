package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// WriteFile makes a file of what write writes. It appears whole, with the permission bits that the umask leaves, or not at
// all; what is there already and is no file, such as a pipe, is written to.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeInto(path, write)
	}
	name, err := fsx.TempName()
	if err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), name)
	f, err := fsx.CreateExclusive(temp, 0o600|os.FileMode(0o666&^sys.Umask()))
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, plainError(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	if err := errors.Join(buffered(f, write), f.Close()); err != nil {
		return err
	}
	return fsx.Rename(temp, path)
}

func writeInto(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return errors.Join(err, &fs.PathError{Op: "writing", Path: path, Err: fs.ErrExist})
	}
	return buffered(f, write)
}

func buffered(f *os.File, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(f, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}
