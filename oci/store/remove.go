package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
	unlock, err := s.lockRemoval(context.Background())
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
		if err := s.removeTag(ref, img.Digest); err != nil {
			return removed, err
		}
		removed.Untagged = append(removed.Untagged, ref)
	}
	if kept {
		return removed, nil
	}
	gone, err := s.removeImage(img.Digest)
	if err != nil {
		return removed, fmt.Errorf("removing image %s: %w", name, err)
	}
	if !gone {
		return removed, nil // it has just been given another name
	}
	removed.Deleted = img.Digest
	return removed, s.removeLayers(img, &removed)
}

// removeTag removes a reference, unless it means another image by now.
func (s *Store) removeTag(ref string, d digest.Digest) error {
	if t, err := readTag(s.refFile(ref)); err == nil && t.Digest != d {
		return nil
	}
	if err := fsx.Remove(s.refFile(ref)); err != nil {
		return fmt.Errorf("removing reference %s: %w", ref, err)
	}
	return nil
}

// removeImage removes an image that no reference means. Put writes the reference and then looks for the image; this moves
// the image away and then looks at the references. Whichever comes second sees the other: gone is false when a reference
// has come up, and then the image is back.
func (s *Store) removeImage(d digest.Digest) (gone bool, err error) {
	name, err := fsx.TempName()
	if err != nil {
		return false, err
	}
	place, away := s.imageDir(d), filepath.Join(s.dataTmp(), name)
	if err := fsx.Rename(place, away); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	tags, err := s.tags()
	if err != nil || slices.ContainsFunc(tags, func(t tag) bool { return t.Digest == d }) {
		back := fsx.Rename(away, place)
		if fsx.IsNotEmpty(back) { // Put has stored it anew
			back = fsx.RemoveAll(away)
		}
		return false, errors.Join(err, back)
	}
	return true, fsx.RemoveAll(away)
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
		if slices.Contains(l.images(), img.Digest) && !l.Owner.Dead() {
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
	used, err := s.usedByImages(nil)
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
		kept, err := os.Lstat(s.Blobs().Path(d))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(err, s.Blobs().Remove(d)); err != nil {
			return fmt.Errorf("removing blob %s: %w", d, err)
		}
		removed.Bytes += kept.Size()
	}
	return s.dropStale(nil)
}

// usedByImages are the layers and configurations of all stored images but those that are gone.
func (s *Store) usedByImages(gone map[digest.Digest]bool) (map[digest.Digest]bool, error) {
	used := map[digest.Digest]bool{}
	return used, s.manifests(gone, func(config digest.Digest, layers []digest.Digest) {
		used[config] = true
		for _, d := range layers {
			used[d] = true
		}
	})
}

// manifests calls f for each stored image but those that are gone, even for damaged ones as long as their manifest can be read.
func (s *Store) manifests(gone map[digest.Digest]bool, f func(config digest.Digest, layers []digest.Digest)) error {
	stored, err := s.storedImages()
	if err != nil {
		return err
	}
	for _, d := range stored {
		if gone[d] {
			continue
		}
		raw, err := fsx.ReadRegular(filepath.Join(s.imageDir(d), manifestName), mostOfFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		var m ocispec.Manifest
		if json.Unmarshal(raw, &m) != nil {
			continue // nothing is known of it but that it cannot be run
		}
		f(m.Config.Digest, Image{Manifest: m}.Layers())
	}
	return nil
}

// removeLayer removes all trees of one layer, unless a run uses it or a living process has just brought it. The mark
// "leaving" and the count of removals come before the second look at the leases: a run that has written its lease and finds the layer
// without the mark, or nothing counted since it looked, keeps it.
func (s *Store) removeLayer(d digest.Digest) (gone bool, err error) {
	if inUse, err := s.inUse(d); err != nil || inUse {
		return false, err
	}
	unmark, err := s.markLeaving(d)
	if err != nil || unmark == nil {
		return false, err
	}
	var trees []string
	if err = s.countRemoval(); err == nil {
		trees, err = s.takeTrees(d)
	}
	err = errors.Join(err, unmark())
	if rmdir := os.Remove(s.treesDir(d)); rmdir != nil && !fsx.IsNotEmpty(rmdir) && !errors.Is(rmdir, fs.ErrNotExist) {
		err = errors.Join(err, rmdir)
	}
	if len(trees) > 0 {
		err = errors.Join(err, s.dropStacksOf(d, false))
	}
	for _, tree := range trees {
		err = errors.Join(err, s.roots.RemoveAll(tree))
	}
	return len(trees) > 0, err
}

// takeTrees moves all trees of a layer to tmp, unless it is in use.
func (s *Store) takeTrees(d digest.Digest) (taken []string, err error) {
	if inUse, err := s.inUse(d); err != nil || inUse {
		return nil, err
	}
	entries, err := os.ReadDir(s.treesDir(d))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() == leavingName {
			continue
		}
		name, err := fsx.TempName()
		if err != nil {
			return taken, err
		}
		away := filepath.Join(s.tmp(), name)
		err = fsx.Rename(filepath.Join(s.treesDir(d), e.Name()), away)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return taken, err
		}
		taken = append(taken, away)
	}
	return taken, nil
}

// leavingName is the mark of a layer that is being removed: a link whose text is a temporary name of the process that does
// it (fsx.TempName). The mark of a dead process means nothing.
const leavingName = "leaving"

// markLeaving makes the mark and returns what takes it away; nil when the layer is not there, or when another process is
// removing it.
func (s *Store) markLeaving(d digest.Digest) (unmark func() error, err error) {
	return markAt(filepath.Join(s.treesDir(d), leavingName))
}

func markAt(mark string) (unmark func() error, err error) {
	name, err := fsx.TempName()
	if err != nil {
		return nil, err
	}
	for range 2 {
		if err := fsx.Step("mark", mark); err != nil {
			return nil, err
		}
		err = os.Symlink(name, mark)
		if !errors.Is(err, fs.ErrExist) || marked(mark) {
			break
		}
		if err := os.Remove(mark); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	switch {
	case fsx.IsFull(err):
		return func() error { return nil }, nil // what makes room must not need any
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
		return nil, nil
	}
	return func() error { return os.Remove(mark) }, err
}

// leavesNow reports whether a living process is removing a layer.
func (s *Store) leavesNow(d digest.Digest) bool {
	return marked(filepath.Join(s.treesDir(d), leavingName))
}

// marked reports whether a mark is that of a living process.
func marked(mark string) bool {
	text, err := os.Readlink(mark)
	if err != nil {
		return false
	}
	owner, ok := fsx.TempOwner(text)
	return ok && !owner.Dead()
}

// leavePatience is how long a look at a layer waits for who is removing it, who may yet leave it: this takes one look at
// the leases.
const leavePatience, leavePause = 200 * time.Millisecond, 2 * time.Millisecond

// leaves waits until it is clear whether a layer goes or stays.
func (s *Store) leaves(d digest.Digest) bool {
	if !s.leavesNow(d) {
		return false
	}
	for range leavePatience / leavePause {
		time.Sleep(leavePause)
		if !s.leavesNow(d) {
			_, err := os.Lstat(s.layerDir(d))
			return err != nil
		}
	}
	return true
}

// bringPatience is how long a layer is believed to be on its way into an image where its process cannot be examined, because
// it is on another host or in another container: as long as the largest pull takes.
const bringPatience = time.Hour

// beingBrought reports whether the process that has unpacked a layer is still at work on its image.
func (s *Store) beingBrought(l Layer) bool {
	switch by := l.Unpacker; {
	case by == s.self, by.Dead():
		return false
	case by.BootID == s.self.BootID && by.PIDSpace == s.self.PIDSpace:
		return true
	default:
		age := time.Since(l.Created)
		return age >= 0 && age < bringPatience
	}
}

// inUse reports whether a run uses a layer, or a living process other than this one has unpacked it: that is about to
// store an image with it.
func (s *Store) inUse(d digest.Digest) (bool, error) {
	trees, err := os.ReadDir(s.treesDir(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	for _, tree := range trees {
		layer, err := s.readLayer(filepath.Join(s.treesDir(d), tree.Name()))
		if err == nil && s.beingBrought(layer) {
			return true, nil
		}
	}
	return s.leased(d)
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
