package job

import (
	"context"
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/oci/store"
)

// refetch gets the layers of an image that was removed while the run was being prepared, by the name that it was asked for. It must
// be the same image.
func (a *attempt) refetch(ctx context.Context, asked string, image store.Image) error {
	if a.options.Fetch.Policy == catalog.PullNever {
		return fmt.Errorf("%w: %s was removed just now", catalog.ErrNotStored, asked)
	}
	text := asked
	if name, err := catalog.Parse(text); err != nil || !name.IsArchive() {
		if image.Ref == "" {
			return fmt.Errorf("%w: %s was removed just now", store.ErrNotFound, text)
		}
		repository, _, _ := strings.Cut(image.Ref, "@")
		text = repository + "@" + image.Digest.String()
	}
	again, err := a.options.Fetch.Get(ctx, a.Store, text)
	if err != nil {
		return err
	}
	if missing := a.Store.Missing(again); len(missing) > 0 || again.Digest != image.Digest {
		return fmt.Errorf("%w: layers of %s are removed as fast as they are fetched", store.ErrNotFound, asked)
	}
	return nil
}
