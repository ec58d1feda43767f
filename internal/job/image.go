package job

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// image finds the image in the store or fetches it, as the policy says.
func (r *Runner) image(ctx context.Context, name string, f Fetch) (store.Image, error) {
	ref, err := registry.ParseRef(name)
	if err != nil {
		if stored, storeErr := r.Store.Image(name); storeErr == nil { // a whole id is no reference
			return stored, nil
		}
		return store.Image{}, err
	}
	if f.Policy != PullAlways {
		stored, err := r.stored(ref, name, f.Platform)
		if !errors.Is(err, store.ErrNotFound) {
			return stored, err
		}
		if f.Policy == PullNever {
			return store.Image{}, fmt.Errorf("%w: %s", ErrNotStored, name)
		}
	}
	return f.Pull(ctx, ref)
}

// stored is the image as the store has it, by its reference or by its id. One of another platform than asked for, or whose
// layers are gone, is none.
func (r *Runner) stored(ref registry.Ref, name, platform string) (store.Image, error) {
	wanted, err := registry.ParsePlatform(platform)
	if err != nil {
		return store.Image{}, err
	}
	image, err := r.Store.Image(ref.String())
	if errors.Is(err, store.ErrNotFound) {
		image, err = r.Store.Image(name)
	}
	switch {
	case err != nil:
		return store.Image{}, err
	case platform != "" && !registry.Fits(wanted, image.Platform):
		return store.Image{}, fmt.Errorf("%w: %s for %s", store.ErrNotFound, name, platform)
	case len(r.Store.Missing(image)) > 0:
		return store.Image{}, fmt.Errorf("%w: layers of %s", store.ErrNotFound, name)
	}
	return image, nil
}

// refetch gets the layers of an image that was removed while the run was being prepared. It must be the same image.
func (a *attempt) refetch(ctx context.Context) error {
	if a.options.Fetch.Policy == PullNever {
		return fmt.Errorf("%w: %s was removed just now", ErrNotStored, a.image.Ref)
	}
	name, _, _ := strings.Cut(a.image.Ref, "@")
	again, err := a.Runner.image(ctx, name+"@"+a.image.Digest.String(), a.options.Fetch)
	if err != nil {
		return err
	}
	if missing := a.Store.Missing(again); len(missing) > 0 {
		return fmt.Errorf("%w: layers of %s are removed as fast as they are fetched", store.ErrNotFound, a.image.Ref)
	}
	return nil
}
