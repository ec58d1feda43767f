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

// Settle seals the named layers, waits until they and their deltas are on the disk and marks them, so that they are trusted after
// a power cut. It may take as long as the disk takes to write everything it has been given; it is meant to run beside a job, or
// at the end of a pull that can wait. Layers that are marked already or not there cost a few looks each.
func (s *Store) Settle(layers ...digest.Digest) error {
	var trees []string
	for _, d := range layers {
		trees = append(trees, s.unsettled(d)...)
	}
	if len(trees) == 0 {
		return nil
	}
	for _, dir := range trees {
		if isDelta(filepath.Base(dir)) {
			continue // it is not open to the caller, all of it
		}
		if err := s.sealTree(dir); err != nil {
			return fmt.Errorf("settling: %w", err)
		}
	}
	if err := s.syncfs(); err != nil {
		return fmt.Errorf("settling %d layers: %w", len(layers), err)
	}
	for _, dir := range trees {
		if err := markSynced(filepath.Join(dir, syncedName)); err != nil {
			return fmt.Errorf("settling: %w", err)
		}
	}
	return nil
}

// Unsettled are those of the named layers of which something is here and not yet marked as being on the disk. It waits for nothing.
func (s *Store) Unsettled(layers ...digest.Digest) []digest.Digest {
	var unsettled []digest.Digest
	for _, d := range layers {
		if len(s.unsettled(d)) > 0 {
			unsettled = append(unsettled, d)
		}
	}
	return unsettled
}

// unsettled are the trees of a layer that can be used and are not marked as being on the disk. What was on its way to the disk when
// the machine stopped is none of them any more.
func (s *Store) unsettled(d digest.Digest) (dirs []string) {
	trees, err := os.ReadDir(s.treesDir(d))
	if err != nil {
		return nil // there is none, or nobody can tell
	}
	for _, tree := range trees {
		m := IDMap(tree.Name())
		if m != s.idMap && !isDelta(tree.Name()) {
			continue
		}
		dir := s.treeDir(d, m)
		if _, err := os.Stat(filepath.Join(dir, syncedName)); errors.Is(err, fs.ErrNotExist) && s.hasTree(d, m) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

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
