package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// fetchName pulls what a name means, from a registry or an archive. For a run, which takes no names away from other images,
// what is stored of an archive is not pulled again.
func fetchName(ctx context.Context, c *cli.Context, s *store.Store, name catalog.Name, naming catalog.Naming) (image store.Image, err error) {
	if err := permitName(c, name); err != nil {
		return store.Image{}, err
	}
	if !name.IsArchive() {
		return fetch(ctx, c, s, fromRegistry(c, name.Ref))
	}
	src, done, err := catalog.Source(ctx, s, nil, name, naming)
	if err != nil {
		return store.Image{}, fmt.Errorf("pulling %s: %w", name.Archive.Transport, err)
	}
	defer func() { err = errors.Join(err, done()) }()
	if naming == catalog.TakeFree {
		if image, ok, err := catalog.Stored(ctx, s, src, c.String("platform")); err != nil || ok {
			return image, err
		}
	}
	image, err = fetch(ctx, c, s, func(func(string)) pull.Source { return src })
	if made, ok := src.(interface{ Made() bool }); err == nil && ok && made.Made() {
		sayMade(c, name.Archive)
	}
	return image, err
}

// opener makes what an image is pulled from; note is told what takes another turn on the way.
type opener func(note func(text string)) pull.Source

// fromRegistry is an image by its reference, with the flags of the command.
func fromRegistry(c *cli.Context, ref registry.Ref) opener {
	return func(note func(text string)) pull.Source {
		return client(c, note).Source(ref)
	}
}

// fetch pulls an image as the flags say.
func fetch(ctx context.Context, c *cli.Context, s *store.Store, from opener) (store.Image, error) {
	options, err := pullOptions(c)
	if err != nil {
		return store.Image{}, err
	}
	return fetchWith(ctx, c, s, from, options)
}

// fetchWith pulls an image. That it reaches the disk nobody waits for.
func fetchWith(ctx context.Context, c *cli.Context, s *store.Store, from opener, options pull.Options) (store.Image, error) {
	image, err := fetchShown(ctx, c, s, from, options)
	if err != nil {
		return image, err
	}
	if err := settleBehind(s, image); err != nil {
		printer(c).Warn("the image will be fetched again after a restart of this machine: %v", err)
	}
	return image, nil
}

// fetchShown pulls an image and shows how it goes.
func fetchShown(ctx context.Context, c *cli.Context, s *store.Store, from opener, options pull.Options) (store.Image, error) {
	progress, err := progressOf(c, "Resolving "+c.Args().First())
	if err != nil {
		return store.Image{}, err
	}
	defer progress.Close()
	options.Progress = progress
	image, err := pull.Image(ctx, s, from(progress.Note), options)
	if err == nil && !progress.Silent() {
		progress.Note("Digest: " + image.Digest.String())
		s.Announce(image)
	}
	return image, err
}

// sayMade says why the digest of an image is new to everybody.
func sayMade(c *cli.Context, place archive.Name) {
	if !c.Bool("quiet") {
		printer(c).Note("%s has no manifest, as docker saved images before version 25; the digest is that of one made of it", place.String())
	}
}

// tellImage says, once, which image of the store a tag is taken for. Those who watched the pull know it.
func tellImage(p *ui.Printer, s *store.Store, image store.Image) {
	if s.Announce(image) {
		p.Note("Image %s is %s, pulled %s", image.Ref, image.Digest.String(), ui.Ago(time.Now(), image.Pulled))
	}
}

// client speaks to registries with the flags of the command.
func client(c *cli.Context, note func(text string)) *registry.Client {
	options := registry.Options{Insecure: c.Bool("insecure"), Note: note}
	if set, err := configuration(c); err == nil { // without it no store could have been opened
		options.Mirrors = mirrors(set)
	}
	return registry.NewClient(options)
}
