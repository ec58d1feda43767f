package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// removals tells whether anybody may have removed a layer since: one process adds to a file what another compares. The remover counts
// after its mark and before its second look at the leases. A run that finds the same count before it has looked at its layers and
// after it has written its lease need not look again: whoever counted before has left a mark that it saw, and whoever counts later sees
// the lease.
type removals struct {
	size  int64
	mtime int64 // ns
}

func (s *Store) removalsFile() string { return filepath.Join(filepath.Dir(s.layersDir()), "removals") }

// removals reads the count. Zero: it is not known.
func (s *Store) removals() removals {
	info, err := os.Stat(s.removalsFile())
	if err != nil {
		return removals{}
	}
	return removals{info.Size(), info.ModTime().UnixNano()}
}

// makeRemovals makes the file. Without it Keep takes its looks.
func (s *Store) makeRemovals() {
	if _, err := os.Lstat(s.removalsFile()); err == nil {
		return
	}
	if file, err := fsx.AppendFile(s.removalsFile(), 0o600); err == nil {
		_ = file.Close() // nothing was written
	}
}

// countRemoval adds one byte, or where there is no room another time.
func (s *Store) countRemoval() error {
	name := s.removalsFile()
	if err := fsx.Step("count", name); err != nil {
		return err
	}
	file, err := fsx.AppendFile(name, 0o600)
	if err == nil {
		_, err = file.Write([]byte{'.'})
		err = errors.Join(err, file.Close())
	}
	if fsx.IsFull(err) {
		err = os.Chtimes(name, time.Time{}, time.Now())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // and no room for the file either: Keep takes its looks
	}
	return err
}
