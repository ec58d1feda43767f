package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Chunks is what the reader given to Layer may offer besides: the bytes that follow in its own memory. Content of large
// files then goes from there to the disk without being copied.
type Chunks interface {
	// Next returns the bytes that follow, some at least, and moves past them. They stay as they are until the call after the
	// next one: those of two calls can be used at once, so that what is written does not depend on where they are cut. At the
	// end, or when the stream fails, it returns the error and no bytes. What is best for the disk is 128 KiB at a time.
	Next() ([]byte, error)
}

// stream is the archive on its way to archive/tar. It ends when it is longer than it may be or its reader has been told to
// stop.
type stream struct {
	ctx    context.Context //nolint:containedctx // lives for one call of Layer
	r      io.Reader
	chunks Chunks // r, or nil
	left   int64  // that the stream may still bring
	failed bool   // the stream did, not what archive/tar makes of it

	rest    []byte // of a chunk
	lending bool   // the next Read is to hand out a piece of rest and leave the caller's buffer alone
	lent    []byte
}

func newStream(ctx context.Context, r io.Reader, limit int64) *stream {
	chunks, _ := r.(Chunks)
	return &stream{ctx: ctx, r: r, chunks: chunks, left: limit}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.read(p)
	s.failed = s.failed || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

func (s *stream) read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, context.Cause(s.ctx)
	}
	if s.chunks == nil {
		return s.direct(p)
	}
	if len(s.rest) == 0 {
		if s.left < 0 {
			return 0, errTooLong
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	if s.lending {
		s.lent = s.rest[:min(len(p), len(s.rest))]
		s.rest = s.rest[len(s.lent):]
		return len(s.lent), nil
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// direct is Read from a reader that has no chunks.
func (s *stream) direct(p []byte) (int, error) {
	if s.left <= 0 {
		// Exactly at the limit is allowed when nothing follows.
		var one [1]byte
		n, err := s.r.Read(one[:])
		if n > 0 {
			return 0, errTooLong
		}
		return 0, err
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

// fill gets the next chunk.
func (s *stream) fill() error {
	chunk, err := s.chunks.Next()
	switch {
	case err != nil:
		return err
	case len(chunk) == 0:
		return io.ErrNoProgress
	case s.left <= 0:
		return errTooLong
	}
	s.rest = chunk[:min(int64(len(chunk)), s.left)]
	s.left -= int64(len(chunk)) // below zero: the rest of this one is already too much
	return nil
}

// blame says whose fault an error of archive/tar is: that of the archive's form, an ErrLayer, unless the stream itself failed.
func (s *stream) blame(err error) error {
	if s.failed {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLayer, err)
}

// borrow gets the content that follows in the current file of the archive: a piece of a chunk where there are chunks, else
// as much as buf takes. content is archive/tar's reader of that file. It passes its reads on to this stream, which is told
// not to copy; unless the file is sparse.
func (s *stream) borrow(content io.Reader, buf []byte, sparse bool) ([]byte, error) {
	if s.chunks == nil || sparse {
		n, err := io.ReadFull(content, buf)
		return buf[:n], err
	}
	s.lending, s.lent = true, nil
	n, err := content.Read(buf)
	s.lending = false
	if n != len(s.lent) {
		return nil, fmt.Errorf("reading a layer: %d bytes of content where %d were read", n, len(s.lent))
	}
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return s.lent, err
}

// errTooLong is of a stream that goes on past the limit.
var errTooLong = fmt.Errorf("%w: the layer's stream is too long", ErrLimit)
