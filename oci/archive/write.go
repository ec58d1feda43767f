package archive

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// WriteFile makes a file of what write writes. It appears whole, with the permission bits that the umask leaves, or not at
// all; what is there already and is no file, such as a pipe, is written to. A process that is killed leaves nothing, but on
// file systems without nameless files its temporary one, which the next call for that directory removes. The error is an *OutputError when it is the file's.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeInto(path, write)
	}
	perm := 0o600 | os.FileMode(0o666&^sys.Umask())
	f, err := fsx.Nameless(filepath.Dir(path), perm)
	if errors.Is(err, errors.ErrUnsupported) {
		return writeBeside(path, perm, write)
	}
	if err != nil {
		return output(path, err)
	}
	defer func() { err = errors.Join(err, output(path, f.Close())) }()
	if err := buffered(f, path, write); err != nil {
		return err
	}
	return output(path, errors.Join(f.Chmod(perm), fsx.Name(f, path)))
}

// writeBeside is WriteFile by way of a file with a name of its own.
func writeBeside(path string, perm os.FileMode, write func(io.Writer) error) (err error) {
	clearDead(filepath.Dir(path))
	name, err := fsx.TempName()
	if err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), name)
	f, err := fsx.CreateExclusive(temp, perm)
	if err != nil {
		return output(path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	if err := errors.Join(buffered(f, path, write), output(path, f.Close())); err != nil {
		return err
	}
	return output(path, fsx.Rename(temp, path))
}

func writeInto(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return output(path, err)
	}
	defer func() { err = errors.Join(err, output(path, f.Close())) }()
	return buffered(f, path, write)
}

// buffered gives write an open file. Errors of the file are told from those of what is written.
func buffered(f *os.File, path string, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(writerFunc(func(p []byte) (int, error) {
		n, err := f.Write(p)
		return n, output(path, err)
	}), 1<<20)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

type writerFunc func(p []byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// clearDead removes from a directory what killed processes have left of archives there. What cannot be removed is no reason not to
// write another.
func clearDead(dir string) {
	left, _ := fsx.DeadTemps(dir)
	for _, path := range left {
		_ = fsx.RemoveAll(path)
	}
}
