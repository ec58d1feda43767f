package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// Policy says when an image is fetched before a run.
type Policy string

// The policies of --pull.
const (
	PullMissing Policy = "missing" // when the store does not have it; no request is made otherwise
	PullAlways  Policy = "always"  // ask the registry what the tag is now
	PullNever   Policy = "never"   // never ask a registry
)

// Fetch says how the image is to be had.
type Fetch struct {
	Policy   Policy
	Platform string // os/arch[/variant] that a stored image must have; "": whichever it has

	// Pull gets an image from its registry, or an archive, into the store and shows how that goes.
	Pull func(context.Context, Name) (store.Image, error)
	// Stored is told of an image that a tag was found to mean in the store. May be nil.
	Stored func(store.Image)
	// Permit fails for an image of the store that may not be used; asked is what it was asked for by. May be nil.
	Permit func(asked string, image store.Image) error

	Apart bool // each layer is wanted by itself
}

// ErrNotStored marks an image that is not in the store and must not be pulled.
var ErrNotStored = errors.New("image is not stored here")

// Get finds an image in the store by what users call it, or fetches it, as the policy says. An archive is looked into whatever the policy
// is: it is no registry, and what it has can be told from what is stored. The errors are ErrNotStored, those of Parse, of Permit and of Pull.
func (f Fetch) Get(ctx context.Context, s *store.Store, text string) (store.Image, error) {
	name, nameErr := Parse(text)
	if nameErr == nil && (name.IsArchive() || f.Policy == PullAlways) {
		return f.Pull(ctx, name)
	}
	stored, err := f.stored(s, text)
	_, bad := errors.AsType[*ArchiveError](err)
	switch {
	case err == nil:
		if f.Permit != nil {
			if err := f.Permit(text, stored); err != nil {
				return store.Image{}, err
			}
		}
		if f.Stored != nil && stored.Ref != "" && stored.Ref == name.Ref.String() && name.Ref.Tag() != "" {
			f.Stored(stored)
		}
		return stored, nil
	case nameErr != nil && (bad || errors.Is(err, store.ErrNotFound)):
		return store.Image{}, nameErr // and no id either
	case !errors.Is(err, store.ErrNotFound):
		return store.Image{}, err
	case f.Policy == PullNever:
		return store.Image{}, fmt.Errorf("%w: %s", ErrNotStored, text)
	}
	return f.Pull(ctx, name)
}

// stored is the image as the store has it, by its reference or by its id. One of another platform than asked for, or whose
// layers are gone, is none.
func (f Fetch) stored(s *store.Store, text string) (store.Image, error) {
	wanted, err := registry.ParsePlatform(f.Platform)
	if err != nil {
		return store.Image{}, err
	}
	image, _, err := Find(s, text)
	if err != nil {
		return store.Image{}, err
	}
	if f.Apart {
		image = s.Apart(image)
	}
	switch platform := f.Platform; {
	case platform != "" && !registry.Fits(wanted, image.Platform):
		return store.Image{}, fmt.Errorf("%w: %s for %s", store.ErrNotFound, text, platform)
	case !image.Whole():
		return store.Image{}, fmt.Errorf("%w: layers of %s", store.ErrNotFound, text)
	}
	return image, nil
}
