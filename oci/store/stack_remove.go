package store

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
)

// dropStacksOf removes the stacks with a layer that has been taken away. Those of a layer that is not to be trusted go even when a run
// uses them, out of the sight of others.
func (s *Store) dropStacksOf(d digest.Digest, damaged bool) error {
	return s.stacks(func(dir string, note stackNote) error {
		if !note.holds(d) {
			return nil
		}
		return s.dropStack(dir, note, damaged)
	})
}

// dropStack removes a stack. One that a run uses stays, or when it is damaged goes where it stays for that run alone. One that is
// being made is taken from its maker.
func (s *Store) dropStack(dir string, note stackNote, damaged bool) error {
	if isMaking(dir) {
		return fsx.IgnoreMissing(fsx.Rename(dir, filepath.Join(s.tmp(), filepath.Base(dir))))
	}
	unmark, err := markAt(filepath.Join(dir, leavingName))
	if err != nil || unmark == nil {
		return err
	}
	err = s.countRemoval()
	leased := false
	if err == nil {
		leased, err = s.stackLeased(note)
	}
	switch {
	case err != nil || leased && (!damaged || len(note.Layers) == 0):
		return errors.Join(err, fsx.IgnoreMissing(unmark()))
	case leased:
		// The name says until when it stays: as long as a run holds this layer.
		return fsx.IgnoreMissing(fsx.Rename(dir, filepath.Join(s.retiredDir(), note.Layers[0].Encoded()+"."+rand.Text())))
	}
	_, err = s.roots.Discard(dir, s.tmp())
	return err
}

// stackLeased looks for a lease that has all layers of a stack, and whose owner is not provably dead.
func (s *Store) stackLeased(note stackNote) (bool, error) {
	leases, err := s.Leases()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(leases, func(l Lease) bool {
		return !slices.ContainsFunc(note.Layers, func(d digest.Digest) bool { return !l.holds(d) }) && !l.Owner.Dead()
	}), nil
}

// dropStale removes the stacks that no image has, but those that are gone, or that were made of other trees than are here now. Nobody
// misses them.
func (s *Store) dropStale(gone map[digest.Digest]bool) error {
	if entries, err := os.ReadDir(s.stacksDir()); len(entries) == 0 {
		return fsx.IgnoreMissing(err)
	}
	used := map[string]bool{}
	err := s.manifests(gone, func(_ digest.Digest, layers []digest.Digest) { used[stackKey(once(layers))] = true })
	if err != nil {
		return err
	}
	return s.stacks(func(dir string, note stackNote) error {
		if isMaking(dir) || used[filepath.Base(dir)] && s.current(note) {
			return nil
		}
		return s.dropStack(dir, note, false)
	})
}

// reclaimStacks removes the stacks that dead processes were making.
func (s *Store) reclaimStacks() error { return fsx.IgnoreMissing(s.reclaimTmp(s.stacksDir())) }
