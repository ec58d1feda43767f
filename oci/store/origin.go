package store

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/store/blob"
)

// Origins are where an image came from and may be had again: references, and archives by the names that were given. The
// latest comes first.
func (s *Store) Origins(d digest.Digest) ([]string, error) {
	if err := blob.CheckDigest(d); err != nil {
		return nil, err
	}
	tags, err := s.tags()
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(tags, func(a, b tag) int { return b.Pulled.Compare(a.Pulled) })
	note, err := readTag(filepath.Join(s.imageDir(d), imageName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var origins []string
	add := func(origin string) {
		if origin != "" && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	for _, t := range tags {
		if t.Digest == d {
			add(cmp.Or(t.From, t.Ref))
		}
	}
	add(cmp.Or(note.From, note.Ref))
	return origins, nil
}
