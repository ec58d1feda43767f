package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxReconnects bounds the connections for one blob even when each brings something.
const maxReconnects = 200

// Blob reads a blob as one stream of exactly desc.Size bytes. When the connection breaks or stalls it is made anew, from
// where it broke, up to maxRetries times without a byte in between. The digest is NOT checked: the reader hashes what it
// reads. An answer that is longer or shorter than desc.Size is an ErrDigest. Nothing is asked for before the first Read;
// the reader must be closed and is for one goroutine.
func (c *Client) Blob(ctx context.Context, ref Ref, desc ocispec.Descriptor) io.ReadCloser {
	return &blob{client: c, ctx: ctx, ref: ref, desc: desc}
}

type blob struct {
	client *Client
	ctx    context.Context //nolint:containedctx // a reader lives for one call
	ref    Ref
	desc   ocispec.Descriptor

	body       io.ReadCloser
	offset     int64
	failures   int  // in a row
	reconnects int  // in all
	contact    bool // the registry has sent something of this blob
	whole      bool // the server mishandles ranges: ask for everything and skip
}

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := b.attempt(p)
		if n > 0 || err == nil || errors.Is(err, io.EOF) && b.offset == b.desc.Size {
			return n, err
		}
		if err := b.recover(err); err != nil {
			return 0, fmt.Errorf("blob %s: %w", b.desc.Digest, err)
		}
	}
}

// attempt reads from the connection, or a new one.
func (b *blob) attempt(p []byte) (int, error) {
	if b.offset == b.desc.Size {
		return 0, b.end()
	}
	if b.body == nil {
		if err := b.open(); err != nil {
			return 0, err
		}
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.desc.Size-b.offset)])
	b.offset += int64(n)
	if n > 0 {
		b.failures, b.contact = 0, true
		return n, nil // an error comes again
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, explain(b.ref.Registry(), err)
}

// end makes sure that the blob is over where it should be.
func (b *blob) end() error {
	if b.body == nil {
		return io.EOF
	}
	var one [1]byte
	if n, _ := b.body.Read(one[:]); n > 0 {
		return fmt.Errorf("%w: longer than the %d bytes of its description", ErrDigest, b.desc.Size)
	}
	return io.EOF
}

// recover prepares another attempt, or returns why there will be none.
func (b *blob) recover(cause error) error {
	b.drop()
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	b.failures++
	b.reconnects++
	if errors.Is(cause, ErrDigest) || !passing(cause, b.contact) || b.failures > maxRetries || b.reconnects > maxReconnects {
		return cause
	}
	b.client.opts.Note(fmt.Sprintf("layer %.12s: %v; going on at byte %d of %d", b.desc.Digest.Encoded(), cause, b.offset, b.desc.Size))
	return b.client.sleep(b.ctx, b.failures-1, cause)
}

// open asks for the blob from the offset on. A server that ignores the range sends everything, of which the beginning is
// skipped.
func (b *blob) open() error {
	s, err := b.client.session(b.ctx, b.ref)
	if err != nil {
		return err
	}
	header := http.Header{}
	ranged := b.offset > 0 && !b.whole
	if ranged {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", b.offset, b.desc.Size-1))
	}
	a, err := b.client.get(b.ctx, s, "/blobs/"+string(b.desc.Digest), header, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable) //nolint:bodyclose // drop closes it
	if err != nil {
		return err
	}
	b.body = a.Body
	switch a.StatusCode {
	case http.StatusOK:
		if a.ContentLength >= 0 && a.ContentLength != b.desc.Size {
			return fmt.Errorf("%w: %d bytes, and the manifest says %d", ErrDigest, a.ContentLength, b.desc.Size)
		}
		return b.skip(b.offset)
	case http.StatusPartialContent:
		if ranged && b.rangeIsRight(a) {
			return nil
		}
	}
	// The server does something else with ranges than what was asked. Start over, without one.
	b.whole = true
	return &HostError{Host: a.Request.URL.Host, Kind: ErrUnreachable, Err: io.ErrUnexpectedEOF}
}

// rangeIsRight reports whether a partial answer begins where it should and is of a blob of the right size.
func (b *blob) rangeIsRight(a *http.Response) bool {
	var first, last, size int64
	got := a.Header.Get("Content-Range")
	if n, err := fmt.Sscanf(got, "bytes %d-%d/%d", &first, &last, &size); err == nil && n == 3 {
		return first == b.offset && last == b.desc.Size-1 && size == b.desc.Size
	}
	n, err := fmt.Sscanf(got, "bytes %d-%d/*", &first, &last)
	return err == nil && n == 2 && first == b.offset && last == b.desc.Size-1
}

// skip reads past what is here already.
func (b *blob) skip(n int64) error {
	if n == 0 {
		return nil
	}
	if _, err := io.CopyN(io.Discard, b.body, n); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return explain(b.ref.Registry(), err)
	}
	return nil
}

func (b *blob) drop() {
	if b.body != nil {
		_ = b.body.Close() // it is broken
		b.body = nil
	}
}

// Close gives the connection back or up.
func (b *blob) Close() error {
	b.drop()
	return nil
}

var _ io.ReadCloser = (*blob)(nil)
