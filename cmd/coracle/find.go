package main

import (
	"strings"

	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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

// platformText is a platform as --platform takes it: os/arch[/variant].
func platformText(p ocispec.Platform) string {
	return strings.TrimRight(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}
