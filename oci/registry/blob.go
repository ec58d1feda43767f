package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrRange means that a server, or a proxy before it, does something else with a range than what was asked: it sends
// everything, another part, or nothing. The blob can be had as a whole.
var ErrRange = errors.New("ranges are not served as asked for")

// Open asks once for length bytes of a blob, from offset on. What it returns reads exactly these bytes and then io.EOF; an
// answer that ends early is io.ErrUnexpectedEOF, one that is longer than the blob ErrDigest. The digest is NOT checked. The
// whole blob (offset 0, length desc.Size) is asked for without a range. For a part the answer must be one of exactly that
// part, or the error is ErrRange. Nothing is tried again here: see Passing and RetryAfter. A redirect is followed anew for
// each call, so that a link that has expired costs one failure, and an expired token is replaced.
//
// Errors do not name the blob, which the caller knows as a layer, or as a configuration.
//
// A body that is closed before its end gives up its connection; one that was read to io.EOF leaves it for the next call.
func (c *Client) Open(ctx context.Context, ref Ref, desc ocispec.Descriptor, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 || length < 0 || offset > desc.Size-length {
		return nil, fmt.Errorf("blob %s: no %d bytes at %d of %d", desc.Digest, length, offset, desc.Size)
	}
	body, err := c.open(ctx, ref, desc, offset, length)
	if err != nil {
		return nil, err
	}
	return body, nil
}

// open asks where the blob is read from now and, when a mirror cannot give it, the next place.
func (c *Client) open(ctx context.Context, ref Ref, desc ocispec.Descriptor, offset, length int64) (*part, error) {
	for {
		s, err := c.session(ctx, ref)
		if err != nil {
			return nil, err
		}
		p, err := c.openFrom(ctx, s, desc, offset, length)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrRange) {
			return p, err
		}
		if Passing(err, true) && !c.tooOften(s.route, s.at) || !c.passOver(s.route, s.at, err) {
			return nil, c.tried(s.route, err)
		}
	}
}

func (c *Client) openFrom(ctx context.Context, s *session, desc ocispec.Descriptor, offset, length int64) (_ *part, err error) {
	header, want, whole := http.Header{}, []int{http.StatusOK}, length == desc.Size
	if !whole {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
		want = []int{http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable}
	}
	a, err := c.get(ctx, s, "/blobs/"+string(desc.Digest), header, want...)
	if err != nil {
		return nil, elsewhere(ofBlob(err), s)
	}
	defer func() {
		if err != nil {
			_ = a.Body.Close() // it is not what was asked for
		}
	}()
	switch {
	case !whole && (a.StatusCode != http.StatusPartialContent || !isRange(a, desc.Size, offset, length)):
		return nil, &HostError{Host: a.Request.URL.Host, Kind: ErrUnreachable, Err: fmt.Errorf("%w (status %d)", ErrRange, a.StatusCode)}
	case whole && a.ContentLength >= 0 && a.ContentLength != desc.Size:
		return nil, fmt.Errorf("%w: %d bytes, and the manifest says %d", ErrOtherSize, a.ContentLength, desc.Size)
	}
	broken := func(err error) {
		if c.tooOften(s.route, s.at) {
			c.passOver(s.route, s.at, err)
		}
	}
	return &part{body: a.Body, host: a.Request.URL.Host, left: length, size: desc.Size, broken: broken}, nil
}

// ofBlob gives the advice that fits an answer about a blob: the name is right, for the manifest has led there.
func ofBlob(err error) error {
	host, ok := asHostError(err)
	switch {
	case !ok:
	case host.Status == http.StatusNotFound:
		host.advice = "the registry has the image's manifest, and has lost this part of it: push the image there again, or ask who runs the registry"
	case host.Status == http.StatusForbidden:
		host.advice = "the registry shows the image's manifest, and withholds this part of it: try again later, or ask who runs the registry"
	}
	return err
}

// isRange reports whether an answer says that it is exactly this part of a blob of this size.
func isRange(a *http.Response, size, offset, length int64) bool {
	said := a.Header.Get("Content-Range")
	known := fmt.Sprintf("bytes %d-%d/", offset, offset+length-1)
	return (said == known+fmt.Sprint(size) || said == known+"*") && (a.ContentLength < 0 || a.ContentLength == length)
}

// part is the body of an answer.
type part struct {
	body io.ReadCloser
	host string
	left int64
	size int64 // of the whole blob

	broken func(error) // is told what ended it before its end
}

// Read implements io.Reader.
func (p *part) Read(buf []byte) (int, error) {
	if p.left == 0 {
		return 0, p.end()
	}
	n, err := p.body.Read(buf[:min(int64(len(buf)), p.left)])
	p.left -= int64(n)
	switch {
	case err == nil, n > 0: // an error comes again
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	err = explain(p.host, err)
	if !errors.Is(err, context.Canceled) {
		p.broken(err)
	}
	return 0, err
}

// end makes sure that the answer is over where it should be.
func (p *part) end() error {
	var one [1]byte
	if n, _ := p.body.Read(one[:]); n > 0 {
		return fmt.Errorf("%w: longer than what was asked for of %d bytes", ErrDigest, p.size)
	}
	return io.EOF
}

// Close gives the connection back or up.
func (p *part) Close() error {
	_ = p.body.Close() // nothing that was read depends on it
	return nil
}

// elsewhereError is access denied by a host a redirect led to. Such links carry their own permission and expire; the
// registry gives a new one.
type elsewhereError struct{ error }

func (e *elsewhereError) Unwrap() error { return e.error }

func elsewhere(err error, s *session) error {
	var host *HostError
	if errors.Is(err, ErrUnauthorized) && errors.As(err, &host) && host.Host != s.access.host && host.Status != 0 {
		return &elsewhereError{err}
	}
	return err
}

// Passing reports whether an error of Open, or of what it returned, may pass by itself. contact says that the registry has
// sent something of this image before: then a refused connection may pass, too, and so may a link or a token that has expired.
func Passing(err error, contact bool) bool {
	var link *elsewhereError
	var host *HostError
	if errors.As(err, &link) || errors.As(err, &host) && host.Status == http.StatusUnauthorized {
		return contact
	}
	return passing(err, contact)
}

// RetryAfter is how long a host asked to wait in its answer, at most a minute; 0 if it did not.
func RetryAfter(err error) time.Duration {
	var host *HostError
	if errors.As(err, &host) {
		return host.wait
	}
	return 0
}
