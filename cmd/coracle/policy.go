package main

import (
	"cmp"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/store"
)

// permitName fails when the policy forbids to fetch what a name means.
func permitName(c *cli.Context, name catalog.Name) error {
	set, err := configuration(c)
	if err != nil {
		return err
	}
	p := set.Policy()
	if name.IsArchive() {
		return p.Archive(name.Archive.String())
	}
	if err := p.Name(name.Ref.Familiar(), name.Ref.Digest() != ""); err != nil {
		return err
	}
	return p.Reference(name.Ref.String())
}

// permit fails when the policy forbids to run a stored image: by what it was asked for, or for where it came from. nil stands for a
// policy that forbids nothing.
func permit(s *store.Store, set *config.Config) func(asked string, image store.Image) error {
	p := set.Policy()
	if !p.Any() {
		return nil
	}
	return func(asked string, image store.Image) error {
		name, err := catalog.Parse(asked)
		_, notID := digest.Parse(asked)
		if err := p.Name(asked, notID == nil || err == nil && !name.IsArchive() && name.Ref.Digest() != ""); err != nil {
			return err
		}
		from := cmp.Or(image.From, image.Ref)
		if from == "" {
			origins, err := s.Origins(image.Digest)
			if err != nil {
				return err
			}
			if len(origins) > 0 {
				from = origins[0]
			}
		}
		if place, ok, _ := archive.ParseName(from); ok {
			return p.Archive(place.String())
		}
		if from == catalog.Pipe {
			return p.Archive(from)
		}
		return p.Reference(from)
	}
}
