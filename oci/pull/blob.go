package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/registry"
)

// input is the compressed form of a layer, to be read once from its beginning to its end.
type input interface {
	io.Reader
	// finish must be called, after the last Read. err says what became of the blob: nil that all of it was read and its
	// digest is right. keep says that the store is to have it.
	finish(err error, keep bool) error
	// old says that some of it was here before.
	old() bool
}

// blob opens a layer's blob where it is to be had with the least effort.
func (p *puller) blob(ctx context.Context, desc ocispec.Descriptor) (input, error) {
	file, err := p.store.Blobs().Open(desc.Digest)
	if err == nil {
		p.progress.LayerResumed(string(desc.Digest), desc.Size)
		return &kept{File: file, puller: p, desc: desc}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if ranged := p.fetch.ranged(desc.Size); ranged || p.keep {
		return p.spool(ctx, desc, ranged, false)
	}
	return &counted{
		stream:  stream{src: p.src, ctx: ctx, desc: desc, pause: p.fetch.pause, note: p.progress.Note},
		fetcher: p.fetch, read: p.reads(desc),
	}, nil
}

// reads tells the progress how much of a blob has come in.
func (p *puller) reads(desc ocispec.Descriptor) func(n int64) {
	return func(n int64) { p.progress.LayerRead(string(desc.Digest), n) }
}

// kept is a blob the store has.
type kept struct {
	*os.File
	puller *puller
	desc   ocispec.Descriptor
}

func (k *kept) finish(err error, _ bool) error {
	closed := k.Close()
	if errors.Is(err, registry.ErrDigest) {
		return errors.Join(closed, k.puller.store.Blobs().Remove(k.desc.Digest))
	}
	return closed
}

func (*kept) old() bool { return true }

// lacksBlob reports whether the blob of a layer is to be kept, and is not there.
func (p *puller) lacksBlob(desc ocispec.Descriptor) bool {
	return p.keep && !p.store.Blobs().Has(desc.Digest)
}

// bringBlob fetches only the blob of a layer that is stored.
func (p *puller) bringBlob(ctx context.Context, desc ocispec.Descriptor, inLine func()) (old bool, err error) {
	b, done, err := p.begin(ctx, desc, inLine)
	defer done()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.finish(err, true)) }()
	got, err := digest.FromReader(p.taken(b, desc))
	if err != nil {
		return b.old(), err
	}
	if got != desc.Digest {
		return b.old(), fmt.Errorf("%w: got %s", registry.ErrDigest, got)
	}
	return false, nil
}

// taken tells the progress how much of a blob is taken on.
func (p *puller) taken(r io.Reader, desc ocispec.Descriptor) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		n, err := r.Read(b)
		if n > 0 {
			p.progress.LayerUnpacked(string(desc.Digest), int64(n), 0)
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
