package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// upload is one blob on its way.
type upload struct {
	*pusher
	desc     ocispec.Descriptor
	open     opener
	progress PushProgress

	location *url.URL // where to send it; nil before it has begun
	offset   int64    // how much the registry has
}

// mount asks the registry to take the blob from another of its repositories. Where it does not, it may have begun an upload.
func (u *upload) mount(ctx context.Context, repository string) (bool, error) {
	query := url.Values{"mount": {string(u.desc.Digest)}, "from": {repository}}
	a, err := u.start(ctx, query)
	if err != nil {
		return false, err
	}
	switch a.StatusCode {
	case http.StatusCreated:
		return true, a.Body.Close()
	case http.StatusAccepted:
		u.locate(a)
	}
	return false, a.Body.Close() // whatever it has against it: the blob can be sent
}

// start begins an upload.
func (u *upload) start(ctx context.Context, query url.Values) (*http.Response, error) {
	target, err := url.Parse(u.session.base + "/blobs/uploads/?" + query.Encode())
	if err != nil {
		return nil, err
	}
	return u.request(ctx, http.MethodPost, target, nil, 0, nil)
}

// locate takes over where the registry wants the next request.
func (u *upload) locate(a *http.Response) {
	if location, err := a.Location(); err == nil {
		u.location = location
	}
}

// send sends the blob. What breaks is tried again, from where the registry says that it broke off.
func (u *upload) send(ctx context.Context) error {
	u.progress.LayerStarted(string(u.desc.Digest), u.desc.Size)
	for failures := 0; ; {
		before := u.offset
		err := u.attempt(ctx)
		if err == nil {
			return nil
		}
		if u.offset > before {
			failures = 0
		}
		if ctx.Err() != nil || failures >= maxRetries || !errors.Is(err, errGone) && !passing(err, true) {
			return err
		}
		u.client.opts.Note(fmt.Sprintf("layer %.12s: %v; trying again", u.desc.Digest.Encoded(), err))
		if err := u.client.sleep(ctx, failures, err); err != nil {
			return err
		}
		failures++
		u.resume(ctx)
	}
}

// resume asks the registry how much it has. When it does not know, the upload begins anew.
func (u *upload) resume(ctx context.Context) {
	location := u.location
	u.location, u.offset = nil, 0
	if location != nil {
		if a, err := u.request(ctx, http.MethodGet, location, nil, 0, nil); err == nil {
			if end, ok := rangeEnd(a.Header.Get("Range")); ok && a.StatusCode == http.StatusNoContent && end < u.desc.Size {
				u.location, u.offset = location, end
				if a.Header.Get("Location") != "" {
					u.locate(a)
				}
			}
			_ = a.Body.Close() // it has none
		}
	}
	u.progress.LayerStarted(string(u.desc.Digest), u.desc.Size)
	u.progress.LayerRead(string(u.desc.Digest), u.offset)
}

// rangeEnd reads "0-99" as 100 bytes. What has none yet says "0-0" or "0--1", or nothing.
func rangeEnd(text string) (int64, bool) {
	var first, last int64
	text = strings.TrimPrefix(text, "bytes=")
	if n, err := fmt.Sscanf(text, "%d-%d", &first, &last); err != nil || n != 2 || first != 0 || last <= 0 {
		return 0, false
	}
	return last + 1, true
}

// attempt sends what the registry does not have, and has it look at the whole.
func (u *upload) attempt(ctx context.Context) error {
	if u.location == nil {
		a, err := u.start(ctx, nil)
		if err != nil {
			return err
		}
		if a.StatusCode != http.StatusAccepted {
			return u.session.blame(answerError(a))
		}
		if u.locate(a); u.location == nil {
			return errors.Join(&HostError{Host: a.Request.URL.Host, Kind: ErrNotRegistry, Err: errors.New("an upload without a location")}, a.Body.Close())
		}
		if err := a.Body.Close(); err != nil {
			return err
		}
	}
	if err := u.patch(ctx); err != nil {
		return err
	}
	return u.commit(ctx)
}

func (u *upload) patch(ctx context.Context) error {
	header := octets()
	if u.offset > 0 {
		header.Set("Content-Range", fmt.Sprintf("%d-%d", u.offset, u.desc.Size-1))
	}
	a, err := u.request(ctx, http.MethodPatch, u.location, header, u.desc.Size-u.offset, func() (io.ReadCloser, error) { return u.body(ctx) })
	if err != nil {
		return err
	}
	if a.StatusCode == http.StatusNotFound {
		return errors.Join(errGone, a.Body.Close())
	}
	if a.StatusCode != http.StatusAccepted && a.StatusCode != http.StatusNoContent && a.StatusCode != http.StatusCreated {
		return u.session.blame(answerError(a))
	}
	u.locate(a)
	return a.Body.Close()
}

func octets() http.Header { return http.Header{"Content-Type": {"application/octet-stream"}} }

// commit ends the upload: the registry checks the digest.
func (u *upload) commit(ctx context.Context) error {
	target := *u.location
	query := target.Query()
	query.Set("digest", string(u.desc.Digest))
	target.RawQuery = query.Encode()
	a, err := u.request(ctx, http.MethodPut, &target, octets(), 0, nil)
	if err != nil {
		return err
	}
	switch a.StatusCode {
	case http.StatusCreated, http.StatusNoContent, http.StatusOK:
		return a.Body.Close()
	case http.StatusNotFound:
		return errors.Join(errGone, a.Body.Close())
	}
	return u.session.blame(answerError(a))
}

// body opens what has to be sent.
func (u *upload) body(ctx context.Context) (_ io.ReadCloser, err error) {
	blob, err := u.open(ctx, u.desc)
	if err != nil {
		return nil, err
	}
	if err := skip(blob, u.offset); err != nil {
		return nil, errors.Join(err, blob.Close())
	}
	return &counted{ReadCloser: blob, left: u.desc.Size - u.offset, sent: func(n int64) { u.progress.LayerRead(string(u.desc.Digest), n) }}, nil
}

// skip passes over the beginning of a blob.
func skip(blob io.Reader, n int64) error {
	if n == 0 {
		return nil
	}
	if s, ok := blob.(io.Seeker); ok {
		_, err := s.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, blob, n)
	return err
}

// counted reads what is sent, exactly as much as was announced.
type counted struct {
	io.ReadCloser
	left int64
	sent func(n int64)
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.left -= int64(n)
	if n > 0 {
		c.sent(int64(n))
	}
	if c.left < 0 || c.left > 0 && errors.Is(err, io.EOF) {
		return n, fmt.Errorf("%w: it has another size than the manifest says", ErrDigest)
	}
	return n, err
}
