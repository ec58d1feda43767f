package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// A delta is a second tree of a layer, for users who have subordinate ids: what of the layer belongs to others than 0:0, with
// the directories above it, given to the ids that stand for those others on the host. It goes right above the flat tree. It is
// made of the flat tree when a run first needs it, and like it appears whole or not at all, and lasts once it is settled; nothing
// but time is lost when it goes. It belongs to one flat tree and one id map.

// deltaPrefix begins the names of the id maps of deltas.
const deltaPrefix = "subuid-"

// plainName is the mark of a flat tree that needs no delta, whatever the map.
const plainName = "plain"

// DeltaMap is the id map of deltas by the whole of the map, in one line.
func DeltaMap(whole string) IDMap {
	sum := sha256.Sum256([]byte(whole))
	return IDMap(deltaPrefix + hex.EncodeToString(sum[:8]))
}

// isDelta reports whether a tree of a layer is a delta, by its name.
func isDelta(name string) bool { return strings.HasPrefix(name, deltaPrefix) }

// Delta is the delta of a stored layer: its directory, "" where the layer needs none, or fs.ErrNotExist when it is to be
// made (BeginDelta).
func (s *Store) Delta(d digest.Digest, m IDMap) (dir string, err error) {
	if _, err := os.Lstat(filepath.Join(s.layerDir(d), plainName)); err == nil {
		return "", nil
	}
	if !s.hasTree(d, m) {
		return "", fmt.Errorf("layer %s for %s: %w", d, m, fs.ErrNotExist)
	}
	return filepath.Join(s.treeDir(d, m), treeName), nil
}

// hasTree reports whether a tree of a layer is there and can be trusted.
func (s *Store) hasTree(d digest.Digest, m IDMap) bool {
	if m == s.idMap {
		return s.HasLayer(d)
	}
	return s.deltaStands(d, s.treeDir(d, m))
}

// deltaStands reports whether a delta is whole and of the flat tree that is there now.
func (s *Store) deltaStands(d digest.Digest, dir string) bool {
	delta, err := s.readLayer(dir)
	if err != nil {
		return false
	}
	flat, err := describeLayer(s.layerDir(d))
	return err == nil && delta.Digest == d && delta.Flat.Equal(flat.Created) && string(delta.IDMap) == filepath.Base(dir)
}

// LockDelta waits until no other process makes the delta of a layer. Like Lock it is a hint.
func (s *Store) LockDelta(ctx context.Context, d digest.Digest) (unlock func() error, err error) {
	if err := blob.CheckDigest(d); err != nil {
		return nil, err
	}
	return fsx.Lock(ctx, filepath.Join(s.locksDir(), "delta-"+d.Encoded()))
}

// BeginDelta makes an empty tree for a delta. It is published as a layer's is, described by Digest, DiffID, Map, what is in it,
// and in Flat by the Created of the flat tree that it was made of.
func (s *Store) BeginDelta(d digest.Digest, m IDMap) (*Staging, error) {
	if !isDelta(string(m)) {
		return nil, fmt.Errorf("%q is no id map of deltas", m)
	}
	t, err := s.BeginLayer(d)
	if err != nil {
		return nil, err
	}
	t.idMap = m
	return t, nil
}

// Owners opens the original owners and modes of a stored layer (package unpack).
func (s *Store) Owners(d digest.Digest) (*os.File, error) {
	f, err := fsx.OpenRegular(filepath.Join(s.layerDir(d), ownersName))
	if err != nil {
		return nil, fmt.Errorf("layer %s: its owners: %w", d, err)
	}
	return f, nil
}

// MarkPlain notes that a layer needs no delta.
func (s *Store) MarkPlain(d digest.Digest) error {
	return markSynced(filepath.Join(s.layerDir(d), plainName))
}

// staleDeltas are the deltas of a layer that no run can use any more: of another flat tree, or of an earlier boot that ended before
// they were settled. They are not
// missed: who needs one makes it.
func (s *Store) staleDeltas(d digest.Digest) (dirs []string, err error) {
	trees, err := os.ReadDir(s.treesDir(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, tree := range trees {
		if dir := filepath.Join(s.treesDir(d), tree.Name()); isDelta(tree.Name()) && !s.deltaStands(d, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}
