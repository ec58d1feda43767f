package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// liveImages are the images that live runs use, with the names of those runs.
func (s *Store) liveImages() (map[digest.Digest][]string, error) {
	leases, err := s.Leases()
	if err != nil {
		return nil, err
	}
	live := map[digest.Digest][]string{}
	for _, l := range leases {
		if l.Owner.Dead() {
			continue
		}
		for _, d := range l.images() {
			live[d] = append(live[d], l.label())
		}
	}
	return live, nil
}

// storedImages are all images, with a reference or without, damaged ones too.
func (s *Store) storedImages() ([]digest.Digest, error) { return digestsIn("images", s.imagesDir()) }

// storedLayers are the layers of which there is any tree, whole or not.
func (s *Store) storedLayers() ([]digest.Digest, error) { return digestsIn("layers", s.layersDir()) }

// digestsIn are the digests that give the entries of a directory their names. Names of another making are left out.
func digestsIn(what, dir string) ([]digest.Digest, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // of a store that is only looked at (Try)
		return nil, fmt.Errorf("listing %s: %w", what, err)
	}
	var found []digest.Digest
	for _, e := range entries {
		if d := digest.NewDigestFromEncoded(digest.SHA256, e.Name()); blob.CheckDigest(d) == nil {
			found = append(found, d)
		}
	}
	return found, nil
}

// remnant is something that a dead process left.
type remnant struct {
	path  string
	upper bool
}

// remains are what Reclaim would remove, without stale locks.
func (s *Store) remains() ([]remnant, error) {
	var remains []remnant
	var errs []error
	for _, dir := range append(s.temps(), s.stacksDir()) {
		entries, err := os.ReadDir(dir)
		errs = append(errs, fsx.IgnoreMissing(err))
		for _, e := range entries {
			if owner, ok := fsx.TempOwner(e.Name()); ok && owner.Dead() {
				remains = append(remains, remnant{path: filepath.Join(dir, e.Name())})
			}
		}
	}
	retired, err := s.unleasedRetired()
	errs = append(errs, err)
	for _, name := range retired {
		remains = append(remains, remnant{path: filepath.Join(s.retiredDir(), name)})
	}
	ids, err := os.ReadDir(s.upperDir())
	errs = append(errs, err)
	for _, id := range ids {
		dir := filepath.Join(s.upperDir(), id.Name())
		if _, dead, err := judgeUpper(dir); err == nil && dead {
			remains = append(remains, remnant{path: dir, upper: true})
		}
	}
	return slices.DeleteFunc(remains, func(r remnant) bool { // its owner removed it after it was listed here, and then ended
		_, err := os.Lstat(r.path)
		return errors.Is(err, fs.ErrNotExist)
	}), errors.Join(errs...)
}
