package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/registry"
)

const (
	maxFailures   = 5   // in a row that may be tried again
	maxReconnects = 200 // for one blob, even when each connection brings something

	defaultPause = 500 * time.Millisecond
	maxPause     = 15 * time.Second
)

// stream reads a blob from its beginning to its end over one connection at a time. One that breaks or stalls is made anew
// from where it broke. The digest is NOT checked. Nothing is asked for before the first Read; it must be closed and is for
// one goroutine.
type stream struct {
	src   Source
	ctx   context.Context //nolint:containedctx // a reader lives for one call
	desc  ocispec.Descriptor
	pause time.Duration
	note  func(text string)

	body       io.ReadCloser
	offset     int64
	failures   int  // in a row
	reconnects int  // in all
	contact    bool // the source has sent something of this blob
	whole      bool // the source has no ranges: ask for everything and skip
}

// Blob reads a blob of a source as a stream, in which broken connections are made anew. When its bytes are not those of its
// digest and size, Read ends with registry.ErrDigest in place of io.EOF. note is told what takes another turn; it may be
// nil. The reader must be closed and is for one goroutine.
func Blob(ctx context.Context, src Source, desc ocispec.Descriptor, note func(text string)) io.ReadCloser {
	if note == nil {
		note = func(string) {}
	}
	return &verified{stream: stream{src: src, ctx: ctx, desc: desc, pause: defaultPause, note: note}, verifier: desc.Digest.Verifier()}
}

// verified is a stream that looks at its digest before it ends.
type verified struct {
	stream
	verifier digest.Verifier
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	n, err := v.stream.Read(p)
	_, _ = v.verifier.Write(p[:n]) // never fails (hash.Hash)
	if errors.Is(err, io.EOF) && !v.verifier.Verified() {
		err = registry.ErrDigest
	}
	return n, err
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := s.attempt(p)
		if n > 0 || err == nil || errors.Is(err, io.EOF) && s.offset == s.desc.Size {
			return n, err
		}
		if err := s.recover(err); err != nil {
			return 0, err
		}
	}
}

// attempt reads from the connection, or a new one.
func (s *stream) attempt(p []byte) (int, error) {
	if s.body == nil {
		if s.offset == s.desc.Size && s.offset > 0 {
			return 0, io.EOF // it broke after the last byte
		}
		if err := s.open(); err != nil {
			return 0, err
		}
	}
	n, err := s.body.Read(p)
	s.offset += int64(n)
	if n > 0 {
		s.failures, s.contact = 0, true
		return n, nil // an error comes again
	}
	return 0, err
}

// open asks for the blob from the offset on, or for all of it.
func (s *stream) open() (err error) {
	if s.whole || s.offset == 0 {
		s.body, err = s.src.Open(s.ctx, s.desc, 0, s.desc.Size)
		if err == nil && s.offset > 0 {
			_, err = io.CopyN(io.Discard, s.body, s.offset)
		}
		return err
	}
	s.body, err = s.src.Open(s.ctx, s.desc, s.offset, s.desc.Size-s.offset)
	return err
}

// recover prepares another attempt, or returns why there will be none.
func (s *stream) recover(cause error) error {
	s.drop()
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if errors.Is(cause, registry.ErrRange) && !s.whole {
		s.whole = true
		return nil
	}
	s.failures++
	s.reconnects++
	if !registry.Passing(cause, s.contact) || s.failures > maxFailures || s.reconnects > maxReconnects {
		return cause
	}
	s.note(fmt.Sprintf("layer %.12s: %v; going on at byte %d of %d", s.desc.Digest.Encoded(), cause, s.offset, s.desc.Size))
	return sleep(s.ctx, s.pause, s.failures-1, cause)
}

// sleep waits before attempt try+1: longer each time, or as long as the source asked for.
func sleep(ctx context.Context, pause time.Duration, try int, cause error) error {
	timer := time.NewTimer(wait(pause, try, cause))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// wait is the pause of sleep.
func wait(pause time.Duration, try int, cause error) time.Duration {
	return max(min(pause<<min(max(try, 0), 16), maxPause), registry.RetryAfter(cause))
}

func (s *stream) drop() {
	if s.body != nil {
		_ = s.body.Close() // it is broken
		s.body = nil
	}
}

// Close gives the connection back or up.
func (s *stream) Close() error {
	s.drop()
	return nil
}
