package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxNesting is how deep indexes may point to indexes.
	maxNesting = 3
	// maxLayers is how many layers overlayfs stacks (OVL_MAX_STACK).
	maxLayers = 500
)

// Resolved is what a reference means on one platform, all of it verified.
type Resolved struct {
	Ref      Ref
	Digest   digest.Digest // of the platform's manifest
	Index    digest.Digest // of the index it was chosen from, "" if there was none
	Platform ocispec.Platform

	Manifest    ocispec.Manifest
	RawManifest []byte
	Config      ocispec.Image
	RawConfig   []byte
}

// Resolve finds the manifest for a platform and its configuration. If the reference is a tag, name the digest it means
// with WithDigest first: then what is read is what was looked at.
func (c *Client) Resolve(ctx context.Context, ref Ref, platform ocispec.Platform) (Resolved, error) {
	r := resolver{
		name: ref.String(),
		manifest: func(ctx context.Context, d digest.Digest) (document, error) {
			return c.manifest(ctx, ref.WithDigest(d))
		},
		config: func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) { return c.config(ctx, ref, desc) },
	}
	doc, err := c.manifest(ctx, ref)
	if err != nil {
		return Resolved{}, err
	}
	found, err := r.resolve(ctx, doc, platform)
	if err != nil {
		return Resolved{}, err
	}
	found.Ref = ref
	return found, nil
}

// resolver finds the image that a manifest or an index means. What its functions return is verified.
type resolver struct {
	name     string // for messages
	manifest func(context.Context, digest.Digest) (document, error)
	config   func(context.Context, ocispec.Descriptor) ([]byte, error)
}

func (v resolver) resolve(ctx context.Context, doc document, platform ocispec.Platform) (Resolved, error) {
	r := Resolved{Platform: platform}
	var err error
	if doc.index {
		r.Index = doc.digest
		if doc, r.Platform, err = v.choose(ctx, doc, platform); err != nil {
			return Resolved{}, err
		}
	}
	r.Digest, r.RawManifest = doc.digest, doc.raw
	if err := json.Unmarshal(doc.raw, &r.Manifest); err != nil {
		return Resolved{}, fmt.Errorf("manifest %s: %w: %w", doc.digest, ErrNotImage, err)
	}
	if err := checkManifest(r.Manifest); err != nil {
		return Resolved{}, fmt.Errorf("manifest %s of %s: %w", doc.digest, v.name, err)
	}
	if r.RawConfig, err = v.config(ctx, r.Manifest.Config); err != nil {
		return Resolved{}, err
	}
	if err := json.Unmarshal(r.RawConfig, &r.Config); err != nil {
		return Resolved{}, fmt.Errorf("configuration %s of %s: %w: %w", r.Manifest.Config.Digest, v.name, ErrNotImage, err)
	}
	if err := r.checkConfig(platform); err != nil {
		return Resolved{}, fmt.Errorf("configuration %s of %s: %w", r.Manifest.Config.Digest, v.name, err)
	}
	return r, nil
}

// choose follows indexes to the manifest that fits a platform best.
func (v resolver) choose(ctx context.Context, doc document, want ocispec.Platform) (document, ocispec.Platform, error) {
	chosen := want
	for depth := 0; doc.index; depth++ {
		if depth == maxNesting {
			return document{}, chosen, fmt.Errorf("index of %s: %w: nested too deeply", v.name, ErrNotImage)
		}
		var index ocispec.Index
		if err := json.Unmarshal(doc.raw, &index); err != nil {
			return document{}, chosen, fmt.Errorf("index %s: %w: %w", doc.digest, ErrNotImage, err)
		}
		best, err := pick(index.Manifests, want)
		if err != nil {
			return document{}, chosen, fmt.Errorf("%s: %w", v.name, err)
		}
		if best.Platform != nil {
			chosen = normal(*best.Platform)
		}
		if err := checkDescriptor(best, MaxManifest); err != nil {
			return document{}, chosen, fmt.Errorf("index %s of %s: %w", doc.digest, v.name, err)
		}
		if doc, err = v.manifest(ctx, best.Digest); err != nil {
			return document{}, chosen, err
		}
		if int64(len(doc.raw)) != best.Size {
			return document{}, chosen, fmt.Errorf("manifest %s of %s: %w: %d bytes, and the index says %d", best.Digest, v.name, ErrDigest, len(doc.raw), best.Size)
		}
	}
	return doc, chosen, nil
}

// pick finds the entry of an index that fits best, the first of equals. Entries without a platform are taken when there is
// nothing else to go by. Attestations and the like call their platform unknown.
func pick(entries []ocispec.Descriptor, want ocispec.Platform) (ocispec.Descriptor, error) {
	best, bestFit := ocispec.Descriptor{}, 0
	missing := &PlatformError{Want: FormatPlatform(want)}
	for _, e := range entries {
		index, known := isIndexType(e.MediaType)
		if !known {
			continue
		}
		score := 1 // no platform
		if e.Platform != nil {
			if e.Platform.OS == "unknown" || e.Platform.Architecture == "unknown" {
				continue
			}
			score = 2 * fit(want, *e.Platform)
			if name := FormatPlatform(normal(*e.Platform)); !slices.Contains(missing.Have, name) {
				missing.Have = append(missing.Have, name)
			}
		} else if !index && len(entries) > 1 {
			continue
		}
		if score > bestFit {
			best, bestFit = e, score
		}
	}
	if bestFit == 0 {
		return ocispec.Descriptor{}, missing
	}
	return best, nil
}

// checkDescriptor refuses a digest that could be a path, and a size that cannot be.
func checkDescriptor(d ocispec.Descriptor, most int64) error {
	if err := checkDigest(d.Digest); err != nil {
		return fmt.Errorf("%w: %w", ErrNotImage, err)
	}
	if d.Size < 0 {
		return fmt.Errorf("%w: %s has the size %d", ErrNotImage, d.Digest, d.Size)
	}
	if d.Size > most {
		return fmt.Errorf("%s of %d bytes: %w: at most %d", d.Digest, d.Size, ErrTooLarge, most)
	}
	return nil
}

// checkManifest refuses what is not the manifest of a container image, or cannot be run.
func checkManifest(m ocispec.Manifest) error {
	if !types.MediaType(m.Config.MediaType).IsConfig() {
		return fmt.Errorf("%w: its configuration is of type %q", ErrNotImage, clip(m.Config.MediaType))
	}
	if err := checkDescriptor(m.Config, MaxManifest); err != nil {
		return err
	}
	if len(m.Layers) > maxLayers {
		return fmt.Errorf("%w: %d layers, at most %d: ", ErrTooLarge, len(m.Layers), maxLayers)
	}
	for _, l := range m.Layers {
		if err := checkDescriptor(l, 1<<62); err != nil {
			return err
		}
		if _, ok := LayerCompression(l.MediaType); !ok {
			return fmt.Errorf("layer %s: %w: %q", l.Digest, ErrMediaType, clip(l.MediaType))
		}
	}
	return nil
}

// Compression is how a layer's tar stream is packed.
type Compression string

// The compressions of layers.
const (
	Plain Compression = "plain"
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
)

// LayerCompression tells it by the media type of a layer; ok is false when this is no layer Coracle can read.
func LayerCompression(mediaType string) (c Compression, ok bool) {
	switch mediaType {
	case ocispec.MediaTypeImageLayer, "application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.docker.image.rootfs.diff.tar":
		return Plain, true
	case ocispec.MediaTypeImageLayerGzip, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
		return Gzip, true
	case ocispec.MediaTypeImageLayerZstd, "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar.zstd":
		return Zstd, true
	}
	return "", false
}

// config reads a configuration and verifies it.
func (c *Client) config(ctx context.Context, ref Ref, desc ocispec.Descriptor) ([]byte, error) {
	for {
		from := c.from(ctx, ref)
		raw, err := c.readBlob(ctx, ref, desc)
		switch got := digest.FromBytes(raw); {
		case err != nil:
			err = fmt.Errorf("configuration %s of %s: %w", desc.Digest, ref, err)
		case got != desc.Digest:
			err = fmt.Errorf("configuration of %s: %w: expected %s, got %s", ref, ErrDigest, desc.Digest, got)
		default:
			return raw, nil
		}
		if !errors.Is(err, ErrDigest) || !c.passOverFrom(ctx, ref, from, err) {
			return nil, err
		}
	}
}

// readBlob reads a whole blob, which must be small. The digest is not checked.
func (c *Client) readBlob(ctx context.Context, ref Ref, desc ocispec.Descriptor) (raw []byte, err error) {
	err = c.again(ctx, ref.String(), func() (err error) {
		blob, err := c.Open(ctx, ref, desc, 0, desc.Size)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, blob.Close()) }()
		raw, err = io.ReadAll(blob)
		return err
	})
	return raw, err
}

// checkConfig refuses a configuration that does not belong to its manifest or is for another platform. Some builders leave
// the platform out of it; then it is what it was asked for.
func (r *Resolved) checkConfig(want ocispec.Platform) error {
	if have, need := len(r.Config.RootFS.DiffIDs), len(r.Manifest.Layers); have != need {
		return fmt.Errorf("%w: it knows %d layers, and the manifest %d", ErrNotImage, have, need)
	}
	for _, d := range r.Config.RootFS.DiffIDs {
		if err := checkDigest(d); err != nil {
			return fmt.Errorf("%w: %w", ErrNotImage, err)
		}
	}
	have := r.Config.Platform
	if have.OS == "" && have.Architecture == "" {
		return nil
	}
	if fit(want, have) == 0 {
		return &PlatformError{Want: FormatPlatform(want), Have: []string{FormatPlatform(normal(have))}}
	}
	r.Platform = normal(ocispec.Platform{OS: have.OS, Architecture: have.Architecture, Variant: have.Variant})
	return nil
}
