package registry

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Source is one reference in its registry: what package pull pulls from. It may be used by several goroutines.
type Source struct {
	client *Client
	ref    Ref
}

// Source makes a reference something to pull from.
func (c *Client) Source(ref Ref) *Source { return &Source{client: c, ref: ref} }

// String is the reference in its canonical form.
func (s *Source) String() string { return s.ref.String() }

// Digest is what the reference means now: see Client.Digest.
func (s *Source) Digest(ctx context.Context) (digest.Digest, error) {
	return s.client.Digest(ctx, s.ref)
}

// Resolve finds the image a digest of this repository means on a platform: see Client.Resolve.
func (s *Source) Resolve(ctx context.Context, d digest.Digest, platform ocispec.Platform) (Resolved, error) {
	return s.client.Resolve(ctx, s.ref.WithDigest(d), platform)
}

// Open reads a part of a blob of this repository: see Client.Open.
func (s *Source) Open(ctx context.Context, desc ocispec.Descriptor, offset, length int64) (io.ReadCloser, error) {
	return s.client.Open(ctx, s.ref, desc, offset, length)
}

// Parallel says that a large blob comes faster over several connections.
func (s *Source) Parallel() bool { return true }

// From says which of the places that registries.conf names the blobs come from now, for PassOver.
func (s *Source) From(ctx context.Context) int { return s.client.from(ctx, s.ref) }

// PassOver gives up a place of From, because what came from it was wrong though it was complete. It reports whether there is
// another to ask.
func (s *Source) PassOver(ctx context.Context, from int, cause error) bool {
	return s.client.passOverFrom(ctx, s.ref, from, cause)
}
