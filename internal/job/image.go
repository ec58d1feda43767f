package job

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// image finds the image in the store or fetches it, as the policy says. An archive is looked into whatever the policy is: it
// is no registry, and what it has can be told from what is stored.
func (r *Runner) image(ctx context.Context, text string, f Fetch) (store.Image, error) {
	name, nameErr := catalog.Parse(text)
	if nameErr == nil && (name.IsArchive() || f.Policy == PullAlways) {
		return f.Pull(ctx, name)
	}
	stored, err := r.stored(text, f)
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
	case nameErr != nil && errors.Is(err, store.ErrNotFound):
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
func (r *Runner) stored(text string, f Fetch) (store.Image, error) {
	wanted, err := registry.ParsePlatform(f.Platform)
	if err != nil {
		return store.Image{}, err
	}
	image, _, err := catalog.Find(r.Store, text)
	if err != nil {
		return store.Image{}, err
	}
	if f.apart {
		image = r.Store.Apart(image)
	}
	switch platform := f.Platform; {
	case platform != "" && !registry.Fits(wanted, image.Platform):
		return store.Image{}, fmt.Errorf("%w: %s for %s", store.ErrNotFound, text, platform)
	case !image.Whole():
		return store.Image{}, fmt.Errorf("%w: layers of %s", store.ErrNotFound, text)
	}
	return image, nil
}

// refetch gets the layers of an image that was removed while the run was being prepared, by the name that it was asked for. It must
// be the same image.
func (a *attempt) refetch(ctx context.Context, asked string, image store.Image) error {
	if a.options.Fetch.Policy == PullNever {
		return fmt.Errorf("%w: %s was removed just now", ErrNotStored, asked)
	}
	text := asked
	if name, err := catalog.Parse(text); err != nil || !name.IsArchive() {
		if image.Ref == "" {
			return fmt.Errorf("%w: %s was removed just now", store.ErrNotFound, text)
		}
		repository, _, _ := strings.Cut(image.Ref, "@")
		text = repository + "@" + image.Digest.String()
	}
	again, err := a.Runner.image(ctx, text, a.options.Fetch)
	if err != nil {
		return err
	}
	if missing := a.Store.Missing(again); len(missing) > 0 || again.Digest != image.Digest {
		return fmt.Errorf("%w: layers of %s are removed as fast as they are fetched", store.ErrNotFound, asked)
	}
	return nil
}
