package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/volume"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

const inspectDescription = `
The output is an array with one object for each name. Images have the field
names of 'docker image inspect', runs those of 'coracle runs show --json', and
volumes those of 'docker volume inspect'. What NAME means is looked for among
images first, then runs, then volumes, then kept writable layers, unless --type
says. It may also be an
image in an archive: docker-archive:FILE, oci:DIR, ...

With --layers there is a table instead, the lowest layer first: what made each
layer, its size compressed and unpacked, and how much of it nobody can see, for
layers above replace or remove it.

Examples:
  coracle inspect python:3.13-slim
  coracle inspect --format '{{join .Config.Env " "}}' python:3.13-slim
  coracle inspect python:3.13-slim | jq -r '.[0].Config.Env[]'
  coracle inspect --type run last | jq '.[0].totals'
  coracle inspect --layers python:3.13-slim

Exit codes:
  0      all were found
  125    at least one was not; the others are printed
`

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:        "inspect",
		Usage:       "Print all details of images, runs, volumes and kept writable layers as JSON",
		ArgsUsage:   "NAME|ID [NAME|ID...]",
		Description: inspectDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "type", Usage: "Look only for `KIND`: image, run, volume or upper"},
			objectFormatFlag(),
			&cli.BoolFlag{Name: "layers", Usage: "Show what made each layer of an image, and what it weighs and wastes"},
			&cli.BoolFlag{Name: "no-trunc", Usage: "With --layers, print whole digests and commands"},
			&cli.BoolFlag{Name: "json", Usage: "Print JSON: as without this flag, but for --layers"},
		},
		Action: inspectAction,
	}
}

func inspectAction(c *cli.Context) error {
	if err := needArguments(c, "the name of an image, run, volume or kept writable layer", 0); err != nil {
		return err
	}
	kind := c.String("type")
	if !slices.Contains([]string{"", "image", "run", "volume", "upper"}, kind) {
		return &line.UsageError{Command: "inspect", Problem: fmt.Sprintf("unknown type %q", kind), Advice: "the types are image, run, volume and upper"}
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	if c.Bool("layers") {
		if slices.Contains([]string{"run", "volume", "upper"}, kind) {
			return usagef("inspect", "a %s has no layers: leave out --type %s", kind, kind)
		}
		if c.IsSet("format") {
			return usagef("inspect", "--format is not for --layers: use --json")
		}
		return inspectLayers(c, s)
	}
	return printEach(c, func(name string) (any, error) { return inspect(c.Context, s, kind, name) })
}

// printEach prints what is found by each name of the command line, as one array, and then fails for those by which nothing is.
func printEach[T any](c *cli.Context, find func(name string) (T, error)) error {
	format, err := parseObjectFormat(c)
	if err != nil {
		return err
	}
	found, errs := []T{}, []error{}
	for _, name := range c.Args().Slice() {
		v, err := find(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if format != nil {
			errs = append(errs, format.Print(printer(c), v))
			continue
		}
		found = append(found, v)
	}
	if format == nil {
		errs = append(errs, printer(c).JSON(found))
	}
	return failing(c, errors.Join(errs...))
}

// errNothing says that a name means nothing.
var errNothing = errors.New("no such image, run, volume or kept writable layer")

// inspect finds what a name means: an image before a run before a volume before a kept layer, unless the kind says otherwise.
func inspect(ctx context.Context, s *store.Store, kind, name string) (any, error) {
	volumes := volumesOf(s)
	if kind == "volume" {
		return inspectVolume(volumes, name)
	}
	if kind == "upper" {
		return s.Kept(name)
	}
	if kind != "run" {
		image, err := findImage(ctx, s, name)
		if err == nil {
			return inspectImage(s, image)
		}
		if kind == "image" || !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	run, err := record.Open(s.Dirs().Data).Get(name)
	if kind == "" && errors.Is(err, record.ErrNotFound) {
		if v, err := inspectVolume(volumes, name); !errors.Is(err, volume.ErrNotFound) {
			return v, err
		}
		if k, err := s.Kept(name); !errors.Is(err, store.ErrNotKept) {
			return k, err
		}
		return nil, fmt.Errorf("%q: %w", name, errNothing)
	}
	if err != nil {
		return nil, err
	}
	return run, nil
}

// imageDetails is an image with docker's field names, so that scripts written for `docker inspect` go on working. Fields
// that docker does not have are at the end.
type imageDetails struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Created      *time.Time
	Author       string
	Architecture string
	Variant      string `json:",omitempty"`
	OS           string `json:"Os"`
	Size         int64  // on disk
	Config       ocispec.ImageConfig
	RootFS       rootFS

	Digest         string
	Index          string `json:",omitempty"`
	Platform       string
	Pulled         time.Time
	CompressedSize int64
	Layers         []layerDetails
	History        []ocispec.History
}

type rootFS struct {
	Type   string
	Layers []string // digests of the uncompressed layers
}

type layerDetails struct {
	Digest    string // of the compressed layer
	MediaType string
	Size      int64
	Path      string `json:",omitempty"` // where it is unpacked
}

func inspectImage(s *store.Store, i store.Image) (imageDetails, error) {
	d := imageDetails{
		ID: i.Manifest.Config.Digest.String(), RepoTags: []string{}, RepoDigests: []string{},
		Created: i.Config.Created, Author: i.Config.Author,
		Architecture: i.Config.Architecture, Variant: i.Config.Variant, OS: i.Config.OS,
		Size: i.Unpacked(), Config: i.Config.Config, RootFS: rootFS{Type: i.Config.RootFS.Type, Layers: []string{}},
		Digest: i.Digest.String(), Index: i.Index.String(), Platform: registry.FormatPlatform(i.Platform), Pulled: i.Pulled, CompressedSize: i.Size,
		Layers: []layerDetails{}, History: i.Config.History,
	}
	for _, diffID := range i.Config.RootFS.DiffIDs {
		d.RootFS.Layers = append(d.RootFS.Layers, diffID.String())
	}
	for _, l := range i.Manifest.Layers {
		details := layerDetails{Digest: l.Digest.String(), MediaType: l.MediaType, Size: l.Size}
		if s.HasLayer(l.Digest) {
			details.Path = s.LayerDir(l.Digest)
		}
		d.Layers = append(d.Layers, details)
	}
	return d, addNames(s, i, &d)
}

// addNames fills in all names of an image; the digests are of the index where there is one, as in docker.
func addNames(s *store.Store, i store.Image, d *imageDetails) error {
	images, err := s.Images()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, other := range images {
		ref, err := registry.ParseRef(other.Ref)
		if err != nil || other.Digest != i.Digest {
			continue
		}
		if ref.Tag() != "" {
			d.RepoTags = append(d.RepoTags, ref.Familiar())
		}
		digest := other.Digest
		if other.Index != "" {
			digest = other.Index
		}
		if name := ref.WithDigest(digest).Familiar(); !seen[name] {
			seen[name] = true
			d.RepoDigests = append(d.RepoDigests, name)
		}
	}
	return nil
}
