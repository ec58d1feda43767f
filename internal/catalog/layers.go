package catalog

import (
	"context"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/unpack"
)

// Anatomy is an image by its layers, the lowest first.
type Anatomy struct {
	Ref      string        `json:"ref"`
	Digest   digest.Digest `json:"digest"`
	Platform string        `json:"platform"`
	Layers   []Stratum     `json:"layers"`
	Total    Weight        `json:"total"`
}

// Weight is what a layer, or all of an image's, takes and wastes.
type Weight struct {
	Size     int64 `json:"size"`     // compressed
	Unpacked int64 `json:"unpacked"` // bytes of files
	Entries  int64 `json:"entries"`  // files, directories, links and whiteouts
	// HiddenBytes and HiddenFiles are what layers above replace or remove: nobody sees it, and it is fetched and stored all the same.
	HiddenBytes int64 `json:"hidden_bytes"`
	HiddenFiles int64 `json:"hidden_files"`
}

// Stratum is one layer. When it is not stored, only Size of its weight is known.
type Stratum struct {
	Digest    digest.Digest `json:"digest"`
	DiffID    digest.Digest `json:"diff_id"`
	MediaType string        `json:"media_type"`
	Stored    bool          `json:"stored"`
	Weight
	CreatedBy string     `json:"created_by"` // as the image says; "" when its history does not fit its layers
	Created   *time.Time `json:"created,omitempty"`
	Comment   string     `json:"comment,omitempty"`
}

// Dissect looks at the layers of an image. Waste is known when all are stored.
func Dissect(ctx context.Context, st *store.Store, img store.Image) (Anatomy, error) {
	a := Anatomy{Ref: img.Ref, Digest: img.Digest, Platform: registry.FormatPlatform(img.Platform), Layers: []Stratum{}}
	made := history(img.Config)
	var trees []string
	for n, l := range img.Manifest.Layers {
		s := Stratum{Digest: l.Digest, MediaType: l.MediaType, Weight: Weight{Size: l.Size}}
		if n < len(img.Config.RootFS.DiffIDs) {
			s.DiffID = img.Config.RootFS.DiffIDs[n]
		}
		if n < len(made) {
			s.CreatedBy, s.Created, s.Comment = made[n].CreatedBy, made[n].Created, made[n].Comment
		}
		if layer, err := st.Layer(l.Digest); err == nil {
			s.Stored, s.Unpacked, s.Entries = true, layer.Unpacked, layer.Entries
			trees = append(trees, st.LayerDir(l.Digest))
		}
		a.Layers = append(a.Layers, s)
	}
	if len(trees) == len(a.Layers) {
		waste, err := unpack.Hidden(ctx, trees)
		if err != nil {
			return Anatomy{}, err
		}
		for n, w := range waste {
			a.Layers[n].HiddenBytes, a.Layers[n].HiddenFiles = w.Bytes, w.Files
		}
	}
	for _, s := range a.Layers {
		a.Total.Size += s.Size
		a.Total.Unpacked += s.Unpacked
		a.Total.Entries += s.Entries
		a.Total.HiddenBytes += s.HiddenBytes
		a.Total.HiddenFiles += s.HiddenFiles
	}
	return a, nil
}

// history is what made each layer. A history that knows another number of layers than there are says nothing.
func history(config ocispec.Image) []ocispec.History {
	var made []ocispec.History
	for _, h := range config.History {
		if !h.EmptyLayer {
			made = append(made, h)
		}
	}
	if len(made) != len(config.RootFS.DiffIDs) {
		return nil
	}
	return made
}

// Instruction is the command that made a layer without what builders put round it: a line of a Dockerfile, mostly.
func (s Stratum) Instruction() string {
	text := strings.TrimSuffix(strings.TrimSpace(s.CreatedBy), " # buildkit")
	if rest, ok := strings.CutPrefix(text, "/bin/sh -c #(nop) "); ok {
		return strings.TrimSpace(rest)
	}
	if rest, ok := strings.CutPrefix(text, "/bin/sh -c "); ok {
		return "RUN " + rest
	}
	if rest, ok := strings.CutPrefix(text, "RUN /bin/sh -c "); ok {
		return "RUN " + rest
	}
	if text == "" {
		return s.Comment
	}
	return text
}
