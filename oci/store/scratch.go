package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Scratch makes a file without a name on the disk of the layers, for reading and writing. The kernel removes it when it is
// closed, or the process ends.
func (s *Store) Scratch() (*os.File, error) {
	if err := fsx.Step("scratch", s.tmp()); err != nil {
		return nil, err
	}
	fd, err := unix.Open(s.tmp(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), filepath.Join(s.tmp(), "scratch")), nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) { // what file systems say that cannot
		return nil, fmt.Errorf("making a temporary file in %s: %w", s.tmp(), err)
	}
	name, err := fsx.TempName()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.tmp(), name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
