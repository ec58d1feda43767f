package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Removed says what Remove did.
type Removed struct {
	Untagged []string        `json:"untagged"` // references that mean nothing now
	Deleted  digest.Digest   `json:"deleted"`  // the manifest, "" while another reference means it
	Layers   []digest.Digest `json:"layers"`   // trees that were removed
	Bytes    int64           `json:"bytes"`    // of file content in them
}

// Remove forgets a reference, and the image itself when nothing else means it, with the layers no other image has. Named
// by a digest or id, the image goes with all its references. While a live run uses the image the error is ErrInUse and
// nothing has changed.
func (s *Store) Remove(name string) (removed Removed, err error) {
	unlock, err := fsx.Lock(context.Background(), filepath.Join(s.locksDir(), "remove"))
	if err != nil {
		return Removed{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	img, err := s.Image(name)
	if err != nil {
		return Removed{}, err
	}
	refs, kept, err := s.refsOf(img, name)
	if err != nil {
		return Removed{}, err
	}
	if !kept {
		if err := s.checkUnused(img, name); err != nil {
			return Removed{}, err
		}
	}
	for _, ref := range refs {
		if err := os.Remove(s.refFile(ref)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("removing reference %s: %w", ref, err)
		}
		removed.Untagged = append(removed.Untagged, ref)
	}
	if kept {
		return removed, nil
	}
	if _, err := discard(s.imageDir(img.Digest), s.dataTmp()); err != nil {
		return removed, fmt.Errorf("removing image %s: %w", name, err)
	}
	removed.Deleted = img.Digest
	return removed, s.removeLayers(img, &removed)
}

// refsOf are the references to remove for name, and whether others keep the image.
func (s *Store) refsOf(img Image, name string) (refs []string, kept bool, err error) {
	tags, err := s.tags()
	if err != nil {
		return nil, false, err
	}
	var all []string
	for _, t := range tags {
		if t.Digest != img.Digest {
			continue
		}
		all = append(all, t.Ref)
		if t.Ref == name {
			refs = []string{name}
		}
	}
	if refs == nil {
		return all, false, nil
	}
	return refs, len(all) > 1, nil
}

func (s *Store) checkUnused(img Image, name string) error {
	leases, err := s.Leases()
	if err != nil {
		return err
	}
	inUse := &InUseError{Image: name}
	for _, l := range leases {
		if l.Digest == img.Digest && !l.Owner.Dead() {
			inUse.Runs = append(inUse.Runs, l.label())
		}
	}
	if inUse.Runs != nil {
		return inUse
	}
	return nil
}

// removeLayers removes the layers of a removed image that no other image has and no live run uses.
func (s *Store) removeLayers(img Image, removed *Removed) error {
	used, err := s.usedByImages()
	if err != nil {
		return err
	}
	for _, d := range img.Layers() {
		if used[d] {
			continue
		}
		used[d] = true // once, though a manifest may name a layer twice
		info, err := s.Layer(d)
		there := err == nil
		gone, err := s.removeLayer(d)
		if err != nil {
			return fmt.Errorf("removing layer %s: %w", d, err)
		}
		if gone && there {
			removed.Layers = append(removed.Layers, d)
			removed.Bytes += info.Unpacked
		}
	}
	return nil
}

func (s *Store) usedByImages() (map[digest.Digest]bool, error) {
	images, err := s.Images()
	if err != nil {
		return nil, err
	}
	used := map[digest.Digest]bool{}
	for _, img := range images {
		for _, d := range img.Layers() {
			used[d] = true
		}
	}
	return used, nil
}

// removeLayer removes one layer unless a run uses it. A run writes its lease and then looks for its layers; this moves the
// layer away and then looks at the leases. Whichever comes second sees the other, so a layer is never removed under a run:
// at worst it is put back, and the run that missed it in between fetches it again.
func (s *Store) removeLayer(d digest.Digest) (gone bool, err error) {
	name, err := fsx.TempName()
	if err != nil {
		return false, err
	}
	if inUse, err := s.leased(d); err != nil || inUse {
		return false, err
	}
	place, away := s.layerDir(d), filepath.Join(s.tmp(), name)
	if err := fsx.Rename(place, away); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	inUse, err := s.leased(d)
	if err != nil || inUse {
		if back := fsx.Rename(away, place); back != nil && !fsx.IsNotEmpty(back) {
			return false, errors.Join(err, back)
		}
		return false, errors.Join(err, fsx.RemoveAll(away))
	}
	if err := os.Remove(filepath.Dir(place)); err != nil && !fsx.IsNotEmpty(err) && !errors.Is(err, fs.ErrNotExist) {
		return true, errors.Join(err, fsx.RemoveAll(away))
	}
	return true, fsx.RemoveAll(away)
}

// leased looks for a lease on a layer whose owner is not provably dead.
func (s *Store) leased(d digest.Digest) (bool, error) {
	leases, err := s.Leases()
	if err != nil {
		return false, err
	}
	for _, l := range leases {
		if l.holds(d) && !l.Owner.Dead() {
			return true, nil
		}
	}
	return false, nil
}
