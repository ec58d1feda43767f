package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

const pushDescription = `
The image goes to the registry that its name says, or to NAME. The manifest is
sent byte for byte, so it has the same digest there. Layers that the registry
has, in this repository or another one that is known, are not sent again. Of an
image for several platforms the one that is stored is pushed.

Layers that the store does not keep as they came (see 'coracle pull
--keep-blobs') are fetched again from where the image came from, while they are
sent. Credentials are those of 'coracle login', docker and podman.

Examples:
  coracle tag train:baseline registry.lab:5000/team/train:v2
  coracle push registry.lab:5000/team/train:v2
  coracle push train:baseline docker://ghcr.io/org/train:v2

Exit codes:
  0      the registry has the image
  125    it has not: no such image, no access, a layer that cannot be had
  130    interrupted
`

func pushCommand() *cli.Command {
	return &cli.Command{
		Name:        "push",
		Usage:       "Send an image to a registry",
		ArgsUsage:   "IMAGE [NAME[:TAG]]",
		Description: pushDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "insecure", Usage: "Allow plain http and unverified certificates for this registry"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Show no progress"},
			jsonFlag(),
		},
		Action: pushAction,
	}
}

// pushed is what `push --json` prints.
type pushed struct {
	Ref      string `json:"ref"`
	Digest   string `json:"digest"` // of the manifest
	Size     int    `json:"size"`   // of the manifest
	Platform string `json:"platform"`
}

func pushAction(c *cli.Context) error {
	if err := needArguments(c, "the name of an image", 2); err != nil {
		return err
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	image, ref, err := toPush(s, c.Args().Get(0), c.Args().Get(1))
	if err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	if err := push(ctx, c, s, image, ref); err != nil {
		return failing(c, cmp.Or(interrupted(ctx), fmt.Errorf("%s: %w", ref, err)))
	}
	p := pushed{ref.String(), image.Digest.String(), len(image.RawManifest), registry.FormatPlatform(image.Platform)}
	if c.Bool("json") {
		return printer(c).JSON(p)
	}
	return printer(c).Line("%s: digest: %s size: %d", ref.Tag(), p.Digest, p.Size) // as docker
}

// toPush finds the image, and the name that it is pushed by.
func toPush(s *store.Store, source, target string) (store.Image, registry.Ref, error) {
	image, key, err := catalog.Find(s, source)
	if err != nil {
		return store.Image{}, registry.Ref{}, err
	}
	ref, err := registry.ParseRef(cmp.Or(target, key))
	if target != "" {
		ref, err = catalog.ParseTarget(target)
	} else if err != nil || ref.Tag() == "" || ref.String() != image.Ref {
		err = &line.UsageError{Command: "push", Problem: source + " is no name that says where to push to", Advice: "give the image one with 'coracle tag', or as a second argument"}
	}
	return image, ref, err
}

func push(ctx context.Context, c *cli.Context, s *store.Store, image store.Image, ref registry.Ref) (err error) {
	up := registry.Upload{
		Manifest: image.RawManifest, MediaType: cmp.Or(image.Manifest.MediaType, ocispec.MediaTypeImageManifest),
		Config: image.Manifest.Config, RawConfig: image.RawConfig, Layers: image.Manifest.Layers,
	}
	if up.Elsewhere, err = catalog.Repositories(s, image); err != nil {
		return err
	}
	note := func(string) {}
	if !c.Bool("quiet") {
		progress := printer(c).Progress("Connecting to " + ref.Registry()).Pushing()
		defer progress.Close()
		progress.Resolved(ref.String(), image.Digest.String())
		up.Progress, note = progress, progress.Note
		if image.Index != "" {
			note("of several platforms only " + registry.FormatPlatform(image.Platform) + " is pushed, under its own digest")
		}
	}
	blobs := catalog.NewBlobs(s, client(c, note), note, image)
	defer func() { err = errors.Join(err, blobs.Close()) }()
	up.Open = blobs.Open
	_, err = client(c, note).Push(ctx, ref, up)
	return err
}
