package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

const saveDescription = `
The archive is one that docker, podman, skopeo and 'coracle load' read.
It holds the manifest and the layers byte for byte as they came, so the image
has the same digest where it is loaded. The same images give the same archive.
Of an image for several platforms the one that is stored is saved.

Layers that the store does not keep as they came (see 'coracle pull
--keep-blobs') are fetched again from where the image came from.

Formats:
  docker-archive   a tar archive as 'docker save' writes it (the default)
  oci-archive      a tar archive of an OCI image layout
  oci-dir          a directory with an OCI image layout; -o names it

Examples:
  coracle save -o train.tar python:3.13-slim
  coracle save a:1 b:2 | ssh node7 coracle load
  coracle save --format oci-dir -o layout train:baseline

Exit codes:
  0      the archive is complete
  125    it is not: no such image, a layer that cannot be had, no space
  130    interrupted
`

// formats of `coracle save`, by podman's names.
var formats = map[string]archive.Transport{"docker-archive": archive.Docker, "oci-archive": archive.OCIArchive, "oci-dir": archive.OCI}

func saveCommand() *cli.Command {
	return &cli.Command{
		Name:        "save",
		Usage:       "Write images into an archive",
		ArgsUsage:   "IMAGE [IMAGE...]",
		Description: saveDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "Write to `FILE` instead of standard output"},
			&cli.StringFlag{Name: "format", Value: "docker-archive", Usage: "Write `FORMAT`: docker-archive (the default), oci-archive or oci-dir"},
			&cli.BoolFlag{Name: "insecure", Usage: "Allow plain http and unverified certificates for registries that layers are fetched from"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Do not say what is fetched"},
			&cli.BoolFlag{Name: "json", Usage: "With -o, print JSON about what was written"},
		},
		Action: saveAction,
	}
}

func saveAction(c *cli.Context) error {
	if err := needArguments(c, "the name of an image", 0); err != nil {
		return err
	}
	format, ok := formats[c.String("format")]
	switch p := printer(c); {
	case !ok:
		return &line.UsageError{Command: "save", Problem: fmt.Sprintf("unknown format %q", c.String("format")), Advice: "the formats are docker-archive, oci-archive and oci-dir"}
	case format == archive.OCI && c.String("output") == "":
		return usagef("save", "a directory needs a name: -o DIR")
	case c.String("output") == "" && c.Bool("json"):
		return &line.UsageError{Command: "save", Problem: "standard output is the archive, and cannot be JSON, too", Advice: "write the archive to a file with -o"}
	case c.String("output") == "" && p.IsTerminal():
		return &line.UsageError{Command: "save", Problem: "an archive is nothing for a terminal", Advice: "write to a file with -o, or redirect standard output"}
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	images, err := toSave(s, c.Args().Slice())
	if err == nil {
		err = save(ctx, c, s, format, images)
	}
	if err != nil {
		return failing(c, cmp.Or(interrupted(ctx), err))
	}
	if !c.Bool("json") {
		return nil
	}
	written := saved{Output: c.String("output"), Format: c.String("format"), Images: []imageSummary{}}
	for _, i := range images {
		written.Images = append(written.Images, summary(i.Image))
	}
	return printer(c).JSON(written)
}

// saved is what `save --json` prints.
type saved struct {
	Output string         `json:"output"` // as it was given
	Format string         `json:"format"`
	Images []imageSummary `json:"images"`
}

func save(ctx context.Context, c *cli.Context, s *store.Store, format archive.Transport, images []archive.Saved) (err error) {
	blobs := blobsOf(c, s, images)
	defer func() { err = errors.Join(err, blobs.Close()) }()
	output := c.String("output")
	switch {
	case format == archive.OCI:
		return archive.SaveDir(ctx, output, images, blobs.Open)
	case output == "":
		return archive.Save(ctx, printer(c).Raw(), format, images, blobs.Open)
	default:
		return archive.WriteFile(output, func(w io.Writer) error { return archive.Save(ctx, w, format, images, blobs.Open) })
	}
}

// toSave finds the images. In the archive each has the name that it was called by; one that was called by its id has none, as
// with docker.
func toSave(s *store.Store, names []string) ([]archive.Saved, error) {
	var images []archive.Saved
	for _, name := range names {
		image, key, err := catalog.Find(s, name)
		if err != nil {
			return nil, err
		}
		saved := archive.Saved{Image: image}
		if ref, err := registry.ParseRef(key); err == nil && ref.String() == image.Ref {
			saved.Names = append(saved.Names, ref)
		}
		images = append(images, saved)
	}
	return images, nil
}

// blobsOf opens the layers of images, and says what has to be fetched for it.
func blobsOf(c *cli.Context, s *store.Store, images []archive.Saved) *catalog.Blobs {
	note := func(text string) {
		if !c.Bool("quiet") {
			printer(c).Note("coracle: %s", text)
		}
	}
	all := make([]store.Image, 0, len(images))
	for _, i := range images {
		all = append(all, i.Image)
	}
	blobs := catalog.NewBlobs(s, client(c, note), note, all...)
	if absent := blobs.Absent(); len(absent) > 0 {
		var bytes int64
		for _, d := range absent {
			bytes += d.Size
		}
		note(fmt.Sprintf("layers stored only unpacked are fetched again: %d of them, %s ('coracle pull --keep-blobs' keeps them)", len(absent), ui.Size(bytes)))
	}
	return blobs
}
