package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// Settle seals the named layers, waits until they are on the disk and marks them, so that they are trusted after a power
// cut. It may take as long as the disk takes to write everything it has been given; it is meant to run beside a job, or at
// the end of a pull that can wait. Layers that are marked already or not there cost one look each.
func (s *Store) Settle(layers ...digest.Digest) error {
	unsettled := s.Unsettled(layers...)
	if len(unsettled) == 0 {
		return nil
	}
	for _, d := range unsettled {
		if err := s.sealTree(s.layerDir(d)); err != nil {
			return fmt.Errorf("settling: %w", err)
		}
	}
	if err := s.syncfs(); err != nil {
		return fmt.Errorf("settling %d layers: %w", len(unsettled), err)
	}
	for _, d := range unsettled {
		if err := markSynced(s.syncedMark(d)); err != nil {
			return fmt.Errorf("settling: %w", err)
		}
	}
	return nil
}

// Unsettled are those of the named layers that are here and not yet marked as being on the disk. It waits for nothing.
func (s *Store) Unsettled(layers ...digest.Digest) []digest.Digest {
	var unsettled []digest.Digest
	for _, d := range layers {
		if _, err := os.Stat(s.syncedMark(d)); errors.Is(err, fs.ErrNotExist) && s.HasLayer(d) {
			unsettled = append(unsettled, d)
		}
	}
	return unsettled
}

func (s *Store) syncedMark(d digest.Digest) string { return filepath.Join(s.layerDir(d), syncedName) }

func (s *Store) syncfs() (err error) {
	if err := fsx.Step("syncfs", s.layersDir()); err != nil {
		return err
	}
	fd, err := sys.OpenDir(s.layersDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	return sys.Syncfs(fd, s.layersDir())
}

// markSynced makes the empty mark. Another process may have made it, or removed the layer, meanwhile.
func markSynced(mark string) error {
	f, err := fsx.CreateExclusive(mark, 0o600)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}
