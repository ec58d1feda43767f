package main

import (
	"errors"

	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// findImage finds a stored image by its reference as users write it, else by its id or digest.
func findImage(s *store.Store, name string) (store.Image, error) {
	if ref, err := registry.ParseRef(name); err == nil {
		image, err := s.Image(ref.String())
		if !errors.Is(err, store.ErrNotFound) {
			return image, err
		}
	}
	return s.Image(name)
}
