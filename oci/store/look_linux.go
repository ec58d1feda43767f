package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// stands is HasLayer for those who only want to use the layer: of one that has reached the disk nothing needs to be read, which counts
// where an image has a hundred.
func (s *Store) stands(d digest.Digest) bool {
	trees, err := sys.OpenDir(s.treesDir(d)) // looks from there are shorter
	if err != nil {
		return s.HasLayer(d)
	}
	defer func() { _ = sys.Close(trees) }() // only looked into
	tree := string(s.idMap)
	if _, err := sys.StatAt(trees, filepath.Join(tree, syncedName)); err != nil {
		return s.HasLayer(d)
	}
	if checkWholeAt(trees, tree) != nil {
		return false
	}
	_, err = sys.StatAt(trees, leavingName)
	return errors.Is(err, fs.ErrNotExist) || !s.leaves(d)
}

// checkWhole looks for signs that something has removed files of a tree.
func checkWhole(dir string) error { return checkWholeAt(unix.AT_FDCWD, dir) }

func checkWholeAt(dir int, tree string) error {
	if _, err := sys.StatAt(dir, filepath.Join(tree, eldestName)); err != nil {
		return fmt.Errorf("something has removed old files of it: %w", err)
	}
	st, err := sys.StatAt(dir, filepath.Join(tree, treeName))
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("its files are gone: %w", err)
	}
	return nil
}
