package main

import (
	"path"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

const imagesDescription = `
The latest pull comes first. SIZE is what the layers take unpacked; a layer that
images share is counted with each. With an argument only images of that name are
listed; '*' in it stands for any part of a name.

Examples:
  coracle images
  coracle images --digests python
  coracle images -q
  coracle images --filter dangling=true -q
  coracle images --format '{{.Repository}}:{{.Tag}} {{.Digest}}'
  coracle images --json | jq -r '.[] | [.ref, .unpacked] | @tsv'
`

func imagesCommand() *cli.Command {
	return &cli.Command{
		Name:        "images",
		Usage:       "List stored images",
		ArgsUsage:   "[NAME[:TAG]]",
		Description: imagesDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Print only the ids"},
			&cli.BoolFlag{Name: "digests", Usage: "Show digests too"},
			&cli.BoolFlag{Name: "no-trunc", Usage: "Print whole ids"},
			&line.List{Name: "filter", Aliases: []string{"f"}, Usage: "List only `FILTER`: dangling=true|false or reference=NAME[:TAG]"},
			&cli.StringFlag{Name: "format", Usage: "Print each image by `TEMPLATE`, with docker's fields"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "Accepted for docker's sake: there are no intermediate images"},
			jsonFlag(),
		},
		Action: imagesAction,
	}
}

// imageSummary is an image in `images --json` and `pull --json`.
type imageSummary struct {
	Ref        string     `json:"ref"` // canonical; "" when a later pull took the name away
	Repository string     `json:"repository"`
	Tag        string     `json:"tag"`
	Digest     string     `json:"digest"` // of the platform's manifest; its beginning is the id
	Index      string     `json:"index,omitempty"`
	Config     string     `json:"config_digest"`
	Platform   string     `json:"platform"`
	Created    *time.Time `json:"created,omitempty"`
	Pulled     time.Time  `json:"pulled"`
	Size       int64      `json:"size"`     // compressed, as fetched
	Unpacked   int64      `json:"unpacked"` // on disk
	Layers     []string   `json:"layers"`   // compressed digests, lowest first
}

func summary(i store.Image) imageSummary {
	s := imageSummary{
		Ref: i.Ref, Digest: i.Digest.String(), Index: i.Index.String(), Config: i.Manifest.Config.Digest.String(),
		Platform: registry.FormatPlatform(i.Platform), Created: i.Config.Created, Pulled: i.Pulled, Size: i.Size, Unpacked: i.Unpacked(), Layers: []string{},
	}
	if ref, err := registry.ParseRef(i.Ref); err == nil {
		s.Repository, s.Tag = ref.Repository(), ref.Tag()
	}
	for _, l := range i.Layers() {
		s.Layers = append(s.Layers, l.String())
	}
	return s
}

func imagesAction(c *cli.Context) error {
	if err := atMost(c, 1); err != nil {
		return err
	}
	filter, err := parseImageFilter(line.Values(c, "filter"))
	if err != nil {
		return err
	}
	if format := c.String("format"); format != "" && format != "json" {
		if _, err := imageFormat(format); err != nil {
			return err
		}
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	images, err := s.Images()
	if err != nil {
		return failing(c, err)
	}
	list := []imageSummary{}
	for _, i := range images {
		if filter.fits(i.Ref) && (c.NArg() == 0 || matches(i.Ref, c.Args().First())) {
			list = append(list, summary(i))
		}
	}
	p := printer(c)
	switch {
	case c.Bool("json"), c.String("format") == "json":
		return p.JSON(list)
	case c.Bool("quiet"):
		return printIDs(p, list, c.Bool("no-trunc"))
	case c.String("format") != "" && c.String("format") != "table":
		return formatImages(p, list, c.String("format"), c.Bool("no-trunc"), time.Now())
	default:
		return p.Table(imageTable(list, c.Bool("digests"), c.Bool("no-trunc"), time.Now()))
	}
}

// printIDs prints each id once, as docker does, though an image may have several names.
func printIDs(p *ui.Printer, list []imageSummary, whole bool) error {
	seen := map[string]bool{}
	for _, i := range list {
		if seen[i.Digest] {
			continue
		}
		seen[i.Digest] = true
		if err := p.Line("%s", shortID(i.Digest, whole)); err != nil {
			return err
		}
	}
	return nil
}

func imageTable(list []imageSummary, digests, whole bool, now time.Time) ui.Table {
	t := ui.Table{Columns: []ui.Column{{Title: "REPOSITORY", Cut: ui.Front}, {Title: "TAG", Cut: ui.Back}}}
	if digests {
		t.Columns = append(t.Columns, ui.Column{Title: "DIGEST"})
	}
	t.Columns = append(t.Columns, ui.Column{Title: "IMAGE ID"}, ui.Column{Title: "PLATFORM"}, ui.Column{Title: "CREATED"}, ui.Column{Title: "SIZE"})
	for _, i := range list {
		repository, tag := familiar(i.Ref)
		row := []string{repository, tag}
		if digests {
			row = append(row, i.Digest)
		}
		created := "N/A"
		if i.Created != nil {
			created = ui.Ago(now, *i.Created)
		}
		t.Rows = append(t.Rows, append(row, shortID(i.Digest, whole), i.Platform, created, ui.Size(i.Unpacked)))
	}
	return t
}

// none stands for a name or tag that is not there, as in docker.
const none = "<none>"

// familiar is a reference's name and tag as docker shows them.
func familiar(canonical string) (repository, tag string) {
	ref, err := registry.ParseRef(canonical)
	if err != nil {
		return none, none
	}
	repository, tag = ref.Familiar(), ref.Tag()
	if tag == "" {
		name, _, _ := strings.Cut(repository, "@")
		return name, none
	}
	return strings.TrimSuffix(repository, ":"+tag), tag
}

// matches reports whether an image's reference is of the name, which may be a pattern, and of the tag if one is given.
func matches(canonical, name string) bool {
	repository, tag := familiar(canonical)
	ref, err := registry.ParseRef(canonical)
	if err != nil {
		return false
	}
	for _, form := range []string{repository, repository + ":" + tag, ref.Repository(), ref.String()} {
		if ok, err := path.Match(name, form); err == nil && ok {
			return true
		}
	}
	return false
}

// shortID is the part of a digest that people use.
func shortID(digest string, whole bool) string {
	_, hex, _ := strings.Cut(digest, ":")
	if whole || len(hex) < 12 {
		return digest
	}
	return hex[:12]
}
