package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Fetching reports whether a process works on the partial of a blob.
func (s *Store) Fetching(d digest.Digest) (bool, error) {
	f, err := fsx.OpenRegular(s.Path(d) + partialSuffix)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fsx.ErrNotRegular) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	locked, err := fsx.IsLocked(f)
	return locked, errors.Join(err, f.Close())
}

// RemovePartial removes the partial of a blob unless a process works on it. removed is false when one does, or when there
// is none.
func (s *Store) RemovePartial(d digest.Digest) (removed bool, err error) {
	if err := CheckDigest(d); err != nil {
		return false, err
	}
	p := &Partial{store: s, digest: d, path: s.Path(d) + partialSuffix}
	if _, err := os.Lstat(p.path); errors.Is(err, fs.ErrNotExist) {
		return false, p.store.clear(p.mapPath())
	}
	locked, err := p.lock()
	if err != nil || !locked {
		return false, err
	}
	err = errors.Join(p.store.clear(p.mapPath()), fsx.Remove(p.path), p.file.Close())
	if err != nil {
		return false, fmt.Errorf("removing the partial blob %s: %w", d, err)
	}
	return true, nil
}

// RemoveStray removes the marks and maps beside blobs and partial ones that are not there any more.
func (s *Store) RemoveStray() error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	there := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	var errs []error
	for _, e := range entries {
		if hex, ok := strings.CutSuffix(e.Name(), mapSuffix); ok && !there(hex+partialSuffix) {
			_, err := s.RemovePartial(digest.NewDigestFromEncoded(digest.SHA256, hex))
			errs = append(errs, err)
		}
		// While there is a partial its process may be about to make it the blob.
		if hex, ok := strings.CutSuffix(e.Name(), unsyncedSuffix); ok && !there(hex) && !there(hex+partialSuffix) {
			errs = append(errs, s.clear(filepath.Join(s.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
