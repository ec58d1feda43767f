package main

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

const loadDescription = `
Reads what 'docker save', 'podman save', skopeo and 'coracle save' write:
docker's archives, and OCI layouts in archives or, with -i, in a directory; also
compressed with gzip, zstd or bzip2. All images are stored, under their names.

Layers are kept as they came, too, so that 'coracle save' and 'coracle push' can
pass the image on with the same digest, when the archive is gone and no registry
can be reached. --keep-blobs=false saves that space.

Examples:
  coracle load -i train.tar
  ssh node1 coracle save train:baseline | coracle load
  docker save app:1 | coracle load -q

Exit codes:
  0      all images are stored
  125    at least one is not: no archive, damaged data, no space
  130    interrupted
`

func loadCommand() *cli.Command {
	return &cli.Command{
		Name:        "load",
		Usage:       "Store the images of an archive",
		Description: loadDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "Read `FILE`, or an OCI layout's directory, instead of standard input"},
			&cli.StringFlag{Name: "platform", Usage: "Of an image for several platforms, store the one for `OS/ARCH`"},
			&cli.BoolFlag{Name: "keep-blobs", Value: true, Usage: "Keep layers as they came, too (default; --keep-blobs=false does not)"},
			memoryFlag(),
			progressFlag(),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Show no progress"},
			jsonFlag(),
		},
		Action: loadAction,
	}
}

func loadAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	input := c.String("input")
	if input == "" && ui.IsTerminal(c.App.Reader) {
		return &line.UsageError{Command: "load", Problem: "nothing to read on a terminal", Advice: "name a file with -i, or redirect standard input"}
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	if err := confine(s); err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	loaded, err := load(ctx, c, s, input)
	if c.Bool("json") {
		list := []imageSummary{}
		for _, image := range loaded {
			list = append(list, summary(image))
		}
		err = errors.Join(err, printer(c).JSON(list))
	}
	if err != nil {
		return failing(c, cmp.Or(interrupted(ctx), err))
	}
	return nil
}

// load stores all images of an archive, once for each name.
func load(ctx context.Context, c *cli.Context, s *store.Store, input string) (loaded []store.Image, err error) {
	place, options := archive.Name{Path: input}, archive.Options{Scratch: s.Scratch}
	if input == "" || input == "-" {
		place.Path, options.Stream = "standard input", interruptibly(ctx, c.App.Reader)
	}
	set, err := configuration(c)
	if err == nil {
		err = set.Policy().Archive(place.Path)
	}
	if err != nil {
		return nil, err
	}
	opened, err := archive.Open(ctx, place, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	origin := func(archive.Image) string { return catalog.Pipe }
	if options.Stream == nil {
		origin = opened.Place
	}
	if len(opened.Images()) == 0 {
		return nil, &archive.NoImageError{Path: place.Path}
	}
	for _, image := range opened.Images() {
		refs := []string{""}
		if len(image.Names) > 0 {
			refs = refs[:0]
		}
		for _, ref := range image.Names {
			refs = append(refs, ref.String())
		}
		for _, ref := range refs {
			one, err := loadImage(ctx, c, s, opened.Source(image, ref, origin(image)))
			if err != nil {
				return loaded, err
			}
			if image.Made {
				sayMade(c, place)
			}
			loaded = append(loaded, one)
			if err := printLoaded(c, ref, one); err != nil {
				return loaded, err
			}
		}
	}
	return loaded, nil
}

// interruptibly reads what may never come, until the context ends. What waits for it then goes with the process.
func interruptibly(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(context.Cause(ctx)) }) // it never fails
	go func() {
		_, err := io.CopyBuffer(in, struct{ io.Reader }{r}, make([]byte, 1<<20))
		_ = in.CloseWithError(err)
	}()
	return out
}

// loadImage stores one image: that for this machine, when the archive has it for several, else what there is.
func loadImage(ctx context.Context, c *cli.Context, s *store.Store, src *archive.Source) (store.Image, error) {
	pulled := func(platform string) (store.Image, error) {
		options, err := pullOptions(c)
		if err != nil {
			return store.Image{}, err
		}
		options.Platform = platform
		return fetchWith(ctx, c, s, func(func(string)) pull.Source { return src }, options)
	}
	image, err := pulled(c.String("platform"))
	other, ok := errors.AsType[*registry.PlatformError](err)
	if !ok || c.IsSet("platform") || len(other.Have) == 0 {
		return image, err
	}
	return pulled(other.Have[0])
}

// printLoaded is docker's line. The id is that of the manifest, as everywhere in Coracle.
func printLoaded(c *cli.Context, name string, image store.Image) error {
	p := printer(c)
	if c.Bool("json") {
		return nil
	}
	ref, err := catalog.ParseRef(name)
	if err != nil {
		return p.Line("Loaded image ID: %s", image.Digest.String())
	}
	return p.Line("Loaded image: %s", ref.Familiar())
}
