package catalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// Blobs are the layers of stored images as they came, compressed: those that the store keeps, and the others from where the
// images can be had again. It may be used by several goroutines.
type Blobs struct {
	store  *store.Store
	client *registry.Client
	note   func(text string)

	images []store.Image

	mu      sync.Mutex
	sources map[string]opened // by origin
}

// opened is an origin, or why it cannot be used.
type opened struct {
	src  pull.Source
	done func() error
	err  error
}

// Pipe is the origin of images that came through a pipe.
const Pipe = "pipe"

var errPiped = errors.New("it is gone")

// NewBlobs is for the layers of these images. note is told where layers are fetched from.
func NewBlobs(st *store.Store, client *registry.Client, note func(text string), images ...store.Image) *Blobs {
	return &Blobs{store: st, client: client, note: note, images: images, sources: map[string]opened{}}
}

// Absent are the layers that the store does not keep, each once.
func (b *Blobs) Absent() []ocispec.Descriptor {
	var absent []ocispec.Descriptor
	for _, img := range b.images {
		for _, l := range img.Manifest.Layers {
			same := func(d ocispec.Descriptor) bool { return d.Digest == l.Digest }
			if !b.store.Blobs().Has(l.Digest) && !slices.ContainsFunc(absent, same) {
				absent = append(absent, l)
			}
		}
	}
	return absent
}

// Open reads a layer from its beginning. Its digest is checked only when it is not the store's. The error is a *GoneError
// when it can be had nowhere.
func (b *Blobs) Open(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	f, err := b.store.Blobs().Open(desc.Digest)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	gone := &GoneError{Layer: desc.Digest}
	for _, img := range b.images {
		if !slices.ContainsFunc(img.Manifest.Layers, func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest }) {
			continue
		}
		origins, err := b.store.Origins(img.Digest)
		if err != nil {
			return nil, err
		}
		for _, origin := range origins {
			r, err := b.from(ctx, origin, img.Digest, desc)
			if err == nil || ctx.Err() != nil {
				return r, err
			}
			gone.Origins, gone.Errs = append(gone.Origins, origin), append(gone.Errs, err)
		}
	}
	return nil, gone
}

// from opens a layer where the image came from, and makes sure that something comes.
func (b *Blobs) from(ctx context.Context, origin string, image digest.Digest, desc ocispec.Descriptor) (io.ReadCloser, error) {
	o := b.source(ctx, origin, image)
	if o.err != nil {
		return nil, o.err
	}
	blob := pull.Blob(ctx, o.src, desc, b.note)
	r := bufio.NewReaderSize(blob, 1<<20)
	if _, err := r.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, blob.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{r, blob}, nil
}

// source opens an origin, once.
func (b *Blobs) source(ctx context.Context, origin string, image digest.Digest) opened {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.sources[origin]
	if !ok {
		o = b.open(ctx, origin, image)
		b.sources[origin] = o
		if o.err == nil {
			b.note("layers come from " + origin)
		}
	}
	return o
}

func (b *Blobs) open(ctx context.Context, origin string, image digest.Digest) opened {
	if origin == Pipe {
		return opened{err: errPiped}
	}
	name, err := Parse(origin)
	if err != nil {
		return opened{err: err}
	}
	if !name.IsArchive() {
		name.Ref = name.Ref.WithDigest(image)
	}
	src, done, err := Source(ctx, b.store, b.client, name, TakeNoOne)
	return opened{src, done, err}
}

// Close closes the archives that layers were read from.
func (b *Blobs) Close() error {
	var errs []error
	for _, o := range b.sources {
		if o.done != nil {
			errs = append(errs, o.done())
		}
	}
	return errors.Join(errs...)
}

// GoneError says that a layer is not kept as it came, and cannot be had again.
type GoneError struct {
	Layer   digest.Digest
	Origins []string // where it was looked for
	Errs    []error  // what went wrong there
}

// Error implements error.
func (e *GoneError) Error() string {
	text := "not kept as it came"
	if len(e.Origins) == 0 {
		return text + ", and nothing says where from"
	}
	var tries []string
	for n, err := range e.Errs {
		tries = append(tries, fmt.Sprintf("from %s: %v", e.Origins[n], err))
	}
	return text + ", and cannot be fetched again " + strings.Join(tries, "; ")
}

// Unwrap gives what went wrong.
func (e *GoneError) Unwrap() []error { return e.Errs }

// Hint says what to do next.
func (e *GoneError) Hint() string {
	return "'coracle load' keeps layers as they came, and so does 'coracle pull --keep-blobs', also for an image that is there"
}
