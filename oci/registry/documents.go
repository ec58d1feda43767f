package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Documents are the manifests, indexes and configurations of images that lie elsewhere than in a registry. They need not
// check what they read, but must not read more than MaxManifest bytes (ErrTooLarge).
type Documents interface {
	// String names where they lie, for messages.
	String() string
	// Document reads the one with this digest.
	Document(ctx context.Context, d digest.Digest) ([]byte, error)
}

// ResolveIn is Client.Resolve for images elsewhere: it finds the manifest for a platform that a digest means, of an index
// or a manifest, and its configuration, and accepts what Client.Resolve accepts.
func ResolveIn(ctx context.Context, docs Documents, d digest.Digest, platform ocispec.Platform) (Resolved, error) {
	read := func(ctx context.Context, d digest.Digest) ([]byte, error) {
		if err := checkDigest(d); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", docs, ErrNotImage, err)
		}
		raw, err := docs.Document(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", docs, err)
		}
		if got := digest.FromBytes(raw); got != d {
			return nil, fmt.Errorf("%s: %w: expected %s, got %s", docs, ErrDigest, d, got)
		}
		return raw, nil
	}
	v := resolver{
		name: docs.String(),
		manifest: func(ctx context.Context, d digest.Digest) (document, error) {
			raw, err := read(ctx, d)
			if err != nil {
				return document{}, err
			}
			if !json.Valid(raw) {
				return document{}, fmt.Errorf("manifest %s of %s: %w: it is not JSON", d, docs, ErrNotImage)
			}
			doc := document{raw: raw, digest: d}
			if err := doc.classify(""); err != nil {
				return document{}, fmt.Errorf("manifest %s of %s: %w", d, docs, err)
			}
			return doc, nil
		},
		config: func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
			raw, err := read(ctx, desc.Digest)
			if err == nil && int64(len(raw)) != desc.Size {
				err = fmt.Errorf("%s: %w: configuration of %d bytes, and the manifest says %d", docs, ErrDigest, len(raw), desc.Size)
			}
			return raw, err
		},
	}
	doc, err := v.manifest(ctx, d)
	if err != nil {
		return Resolved{}, err
	}
	return v.resolve(ctx, doc, platform)
}
