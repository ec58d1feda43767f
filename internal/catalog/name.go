package catalog

import (
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/registry"
)

// Name is where an image can be had by what a user wrote: a reference, or a place in an archive.
type Name struct {
	Ref     registry.Ref // the zero Ref when it is an archive
	Archive archive.Name
}

// scheme is how skopeo and podman begin references.
const scheme = "docker://"

// Parse reads the name of an image: a reference as docker and podman write it ("docker://" may stand before it), or one of
// skopeo's names for archives (docker-archive:FILE, oci:DIR, oci-archive:FILE). The errors are registry.ErrBadRef and
// archive.ErrBadName.
func Parse(text string) (Name, error) {
	if place, ok, err := archive.ParseName(text); ok {
		return Name{Archive: place}, err
	}
	ref, err := ParseRef(text)
	return Name{Ref: ref}, err
}

// ParseRef reads a reference where nothing else will do.
func ParseRef(text string) (registry.Ref, error) {
	return registry.ParseRef(strings.TrimPrefix(text, scheme))
}

// IsArchive reports whether the image lies in an archive.
func (n Name) IsArchive() bool { return n.Archive != archive.Name{} }

// ParseTarget reads the reference that an image shall get, which a digest cannot be.
func ParseTarget(text string) (registry.Ref, error) {
	if _, ok, _ := archive.ParseName(text); ok {
		return registry.Ref{}, fmt.Errorf("%q: %w: an archive is written by 'coracle save'", text, registry.ErrBadRef)
	}
	ref, err := ParseRef(text)
	if err != nil {
		return registry.Ref{}, err
	}
	if ref.Tag() == "" {
		return registry.Ref{}, fmt.Errorf("%q: %w: a tag is a name to choose, a digest is not", text, registry.ErrBadRef)
	}
	return ref, nil
}
