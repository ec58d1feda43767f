package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// findStack looks for the stack of an image's layers; nil: there is none that can be used. With it each of the layers in its trees is
// here, in its own right.
func (s *Store) findStack(layers []digest.Digest) []part {
	if len(layers) < stackLayers {
		return nil
	}
	layers = once(layers)
	stack, err := sys.OpenDir(s.stackDir(layers))
	if err != nil {
		return nil
	}
	defer func() { _ = sys.Close(stack) }() // only looked into
	text, err := sys.ReadlinkAt(stack, partsName)
	if err != nil {
		return nil
	}
	parts, ok := parseParts(text, len(layers))
	if !ok {
		return nil
	}
	for _, name := range []string{syncedName, eldestName} {
		if _, err := sys.StatAt(stack, name); err != nil {
			return nil
		}
	}
	for _, p := range parts {
		if st, err := sys.StatAt(stack, p.String()); p.merged() && (err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR) {
			return nil
		}
	}
	mark := filepath.Join(s.stackDir(layers), leavingName)
	if _, err := sys.StatAt(stack, leavingName); !errors.Is(err, fs.ErrNotExist) && marked(mark) {
		return nil
	}
	return parts
}

// current reports whether a stack was made of the trees that are here now.
func (s *Store) current(note stackNote) bool {
	if len(note.Flat) != len(note.Layers) || s.findStack(note.Layers) == nil {
		return false
	}
	made, err := s.created(note.Layers)
	return err == nil && slices.EqualFunc(made, note.Flat, func(a, b time.Time) bool { return a.Equal(b) })
}
