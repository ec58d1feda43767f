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
	f, err := fsx.Nameless(s.tmp(), 0o600)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	name, err := fsx.TempName()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.tmp(), name)
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
