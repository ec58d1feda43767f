package main

import (
	"context"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/store"
)

// findImage finds a stored image, or one of an archive without storing it.
func findImage(ctx context.Context, s *store.Store, text string) (store.Image, error) {
	place, ok, err := archive.ParseName(text)
	if err != nil {
		return store.Image{}, err
	}
	if ok {
		return catalog.Look(ctx, s, place, "")
	}
	image, _, err := catalog.Find(s, text)
	return image, err
}
