package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/oci/registry"
)

// files are the regular files of an archive, by their slash-separated names.
type files interface {
	// open opens one of them, to be closed. The error is fs.ErrNotExist when there is none.
	open(name string) (file, error)
	io.Closer
}

// file is an open file that many can read at once.
type file interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// read reads a whole file, no larger than a manifest may be.
func read(in files, name string) (_ []byte, err error) {
	f, err := in.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if f.Size() > registry.MaxManifest {
		return nil, fmt.Errorf("%s of %d bytes: %w: at most %d", name, f.Size(), registry.ErrTooLarge, registry.MaxManifest)
	}
	raw := make([]byte, f.Size())
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, f.Size()), raw); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return raw, nil
}

// directory is a directory with files in it. It is held open: what its path means later is of no interest.
type directory struct{ root *os.File }

func openDirectory(path string) (*directory, error) {
	fd, err := sys.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return &directory{os.NewFile(uintptr(fd), path)}, nil
}

// open refuses every path that has a symbolic link in it, or leaves the directory, and files that are none, such as a named
// pipe.
func (d *directory) open(name string) (file, error) {
	fd, err := sys.OpenBeneath(int(d.root.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) {
		return nil, damaged("%s: a link, which could lead anywhere", name)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), filepath.Join(d.root.Name(), name))
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = damaged("%s: not a regular file (%v)", name, info.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &whole{f, info.Size()}, nil
}

// Close gives the directory up.
func (d *directory) Close() error { return d.root.Close() }

// whole is a file of a directory.
type whole struct {
	*os.File
	size int64
}

// Size is the file's size when it was opened.
func (w *whole) Size() int64 { return w.size }

// isDirectory reports whether a path is one; a link to one is, too.
func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == fs.ModeDir
}
