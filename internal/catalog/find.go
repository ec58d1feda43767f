package catalog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// Find finds a stored image by what users call it: its reference as they write it, else its id, the digest of its manifest
// or index, or the beginning of that. key is by what the store knows it: the canonical reference, or the id as it was
// given. The errors are those of Store.Image, and an *ArchiveError for the name of an archive.
func Find(st *store.Store, text string) (img store.Image, key string, err error) {
	if _, ok, _ := archive.ParseName(text); ok {
		return store.Image{}, "", &ArchiveError{Name: text}
	}
	ref, refErr := ParseRef(text)
	if refErr == nil {
		img, err = st.Image(ref.String())
		if !errors.Is(err, store.ErrNotFound) {
			return img, ref.String(), err
		}
	}
	img, err = st.Image(text)
	return img, text, err
}

// ArchiveError says that a name is that of an archive where only stored images are meant.
type ArchiveError struct{ Name string }

// Error implements error.
func (e *ArchiveError) Error() string {
	return fmt.Sprintf("%s: an archive, and no image of the store", e.Name)
}

// Hint says what to do next.
func (e *ArchiveError) Hint() string {
	return "'coracle pull " + e.Name + "' stores the image and prints by what it is known then"
}

// Names are the references that mean an image, the latest first.
func Names(st *store.Store, img store.Image) ([]registry.Ref, error) {
	images, err := st.Images()
	if err != nil {
		return nil, err
	}
	var refs []registry.Ref
	for _, other := range images {
		ref, err := registry.ParseRef(other.Ref)
		if err == nil && other.Digest == img.Digest && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// Repositories are where the layers of an image may be: where it came from, and where its names say that it was pushed to.
func Repositories(st *store.Store, img store.Image) ([]registry.Ref, error) {
	origins, err := st.Origins(img.Digest)
	if err != nil {
		return nil, err
	}
	var refs []registry.Ref
	for _, origin := range origins {
		if name, err := Parse(origin); err == nil && !name.IsArchive() {
			refs = append(refs, name.Ref)
		}
	}
	names, err := Names(st, img)
	return append(refs, names...), err
}

// Tag makes another reference mean a stored image, and returns it under that.
func Tag(st *store.Store, source, target string) (store.Image, error) {
	ref, err := ParseTarget(target)
	if err != nil {
		return store.Image{}, err
	}
	img, _, err := Find(st, source)
	if err != nil {
		return store.Image{}, err
	}
	origins, err := st.Origins(img.Digest)
	if err != nil {
		return store.Image{}, err
	}
	if img.Ref == "" || img.From == "" && len(origins) > 0 {
		img.From = origins[0]
	}
	if img.Ref = ref.String(); img.From == img.Ref {
		img.From = ""
	}
	return img, st.Put(img)
}
