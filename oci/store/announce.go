package store

import (
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Announce reports whether nobody has been told yet which image a reference means, and takes it that somebody is told now:
// of all processes that ask for one reference and image, one hears true. Where the store cannot be written nobody is told.
// The mark goes with the image.
func (s *Store) Announce(img Image) bool {
	mark := filepath.Join(s.imageDir(img.Digest), "told-"+filepath.Base(s.refFile(img.Ref)))
	f, err := fsx.CreateExclusive(mark, 0o600)
	if err != nil {
		return false
	}
	_ = f.Close() // nothing was written
	return true
}
