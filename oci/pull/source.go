package pull

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/registry"
)

// Source is where one image comes from: a reference in a registry (registry.Client.Source) or an image in an archive. It is
// used by several goroutines at once. Nothing a source says is believed before its digest is right, the source need not
// check what Open reads.
type Source interface {
	// String is the reference under which the image is stored, unless the source is placed, and its name in messages.
	String() string
	// Digest is the digest the reference means now, of an index or a manifest. It is cheap, and comes before anything else.
	Digest(ctx context.Context) (digest.Digest, error)
	// Resolve reads the manifest for a platform, and its configuration, that a digest of Digest means, and verifies both.
	Resolve(ctx context.Context, d digest.Digest, platform ocispec.Platform) (registry.Resolved, error)
	// Open begins to read length bytes of a blob from offset on; the whole of it has offset 0 and length desc.Size, and
	// length is never 0 unless desc.Size is. It makes one attempt and returns quickly, before the bytes are there.
	//
	// The reader delivers exactly these bytes and then io.EOF. When there are fewer, it fails with io.ErrUnexpectedEOF; when
	// the blob turns out to have another size than desc.Size, with registry.ErrDigest. An error for which
	// registry.Passing(err, contact) holds is tried again by the caller, from where the reader stopped, after
	// registry.RetryAfter(err); an unexpected EOF is one. Every other error is final, except registry.ErrRange: the source
	// cannot give parts of this blob, and is asked for the whole of it. A read that cannot go on ends when ctx does.
	//
	// The caller closes the reader, always and before ctx ends or soon after; closing before the end gives up the rest.
	Open(ctx context.Context, desc ocispec.Descriptor, offset, length int64) (io.ReadCloser, error)
}

// Parallel is a Source whose large blobs may come faster as several parts at once. Of one that does not say so, such as a
// file, each blob is read from its beginning to its end.
type Parallel interface {
	Source
	Parallel() bool
}

// placed is a Source whose name is not the reference that its image is stored under, such as an archive.
type placed interface {
	// Reference is the reference, in its canonical form; "" stores the image by its digest alone.
	Reference() string
	// Origin is where the image can be had again, for Image.From.
	Origin() string
}

// place is under which reference a source's image is stored, and where it came from when that is not the reference.
func place(src Source) (ref, origin string) {
	if p, ok := src.(placed); ok {
		return p.Reference(), p.Origin()
	}
	return src.String(), ""
}

// mirrored is a Source, or not, that has several places to read from: From is the one it reads from now, and PassOver gives
// one up whose bytes were wrong though they were complete, and reports whether there is another.
type mirrored interface {
	From(ctx context.Context) int
	PassOver(ctx context.Context, from int, cause error) bool
}

func (p *puller) from(ctx context.Context) int {
	if m, ok := p.src.(mirrored); ok {
		return m.From(ctx)
	}
	return 0
}

func (p *puller) passOver(ctx context.Context, from int, cause error) bool {
	m, ok := p.src.(mirrored)
	return ok && m.PassOver(ctx, from, cause)
}
