package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/coracle-run/coracle/oci/inflate"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// segment is a range of the blob.
type segment struct {
	start, end int64

	writing  sync.Mutex // held while bytes of it are written
	recorded int64      // all before it is on the map
	sum      uint32     // of the bytes from there to written

	// Of the fetcher's lock; written changes only while writing is held, too.
	written  int64 // all before it is there
	requests []*request
}

// request is one attempt to fetch the rest of a segment.
type request struct {
	started time.Time
	bytes   int64
	seen    int64   // bytes at the last beat
	lately  float64 // bytes a second
	stop    context.CancelCauseFunc
}

// errLost ends the request that lost a race, or is not needed any more.
var errLost = errors.New("somebody else has brought it")

// pending is the first segment nobody fetches. The fetcher's lock is held, here and in the following.
func (s *spool) pending(now time.Time) *segment {
	if s.err != nil || s.whole || now.Before(s.notUntil) || s.ctx.Err() != nil {
		return nil
	}
	for _, g := range s.segments[s.at:] {
		if g.written < g.end && len(g.requests) == 0 {
			return g
		}
	}
	return nil
}

func (s *spool) mayRace(now time.Time) bool {
	return s.err == nil && !s.whole && s.ctx.Err() == nil && !now.Before(s.notUntil) && s.rivals < maxRivals+len(s.segments)/rivalShare
}

// look sees how fast requests are lately.
func (s *spool) look() {
	for _, g := range s.segments[s.at:] {
		for _, r := range g.requests {
			r.lately += (float64(r.bytes-r.seen)/beat.Seconds() - r.lately) / lateBeats
			r.seen = r.bytes
		}
	}
}

// request starts to fetch the rest of a segment.
func (s *spool) request(g *segment, now time.Time) {
	ctx, stop := context.WithCancelCause(s.ctx)
	r := &request{started: now, stop: stop}
	if len(g.requests) > 0 {
		s.rivals++
	}
	g.requests = append(g.requests, r)
	s.fetcher.active++
	from := g.written
	s.all.Go(func() {
		err := s.fetch(ctx, g, r, from)
		if err != nil && context.Cause(ctx) != nil {
			err = context.Cause(ctx)
		}
		stop(nil)
		s.ended(g, r, err)
	})
}

// fetch writes what one request brings.
func (s *spool) fetch(ctx context.Context, g *segment, r *request, from int64) (err error) {
	body, err := s.fetcher.src.Open(ctx, s.desc, from, g.end-from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	c := inflate.NewChunk()
	defer c.Release()
	buf := c.Buffer()
	for fill := 0; ; {
		n, err := body.Read(buf[fill:])
		if fill += n; fill == len(buf) || fill > 0 && (err != nil || s.hungry(g)) {
			if err := s.write(g, r, from, buf[:fill]); err != nil {
				return err
			}
			from += int64(fill)
			fill = 0
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// hungry reports whether somebody waits for the very next bytes of a segment. Else they are written when they are many.
func (s *spool) hungry(g *segment) bool {
	s.fetcher.mu.Lock()
	defer s.fetcher.mu.Unlock()
	return !s.waits.IsZero() && g.start <= s.pos && s.pos < g.end
}

// diskError is a failure of this machine, not of the source.
type diskError struct{ error }

func (e diskError) Unwrap() error { return e.error }

// write puts those of the bytes at an offset into the partial that are not there yet.
func (s *spool) write(g *segment, r *request, offset int64, b []byte) error {
	g.writing.Lock()
	defer g.writing.Unlock()
	size := int64(len(b))
	if have := g.written - offset; have > 0 {
		b = b[min(have, size):]
	}
	if len(b) > 0 {
		if _, err := s.partial.WriteAt(b, g.written); err != nil {
			return diskError{err}
		}
		g.sum = crc32.Update(g.sum, blob.Castagnoli, b)
		s.read(int64(len(b)))
	}
	if done := s.wrote(g, r, size, int64(len(b))); done || g.written-g.recorded >= recordBytes {
		s.record(g)
	}
	return nil
}

// recordBytes is how much of a range may be lost when the process is killed.
const recordBytes = 4 << 20

// record puts what has come of a segment on the map. Without it nothing is wrong: another pull fetches it again.
func (s *spool) record(g *segment) {
	if g.written == g.recorded {
		return
	}
	if err := s.partial.Record(blob.Range{Offset: g.recorded, Length: g.written - g.recorded, Sum: g.sum}); err != nil {
		s.fetcher.note(fmt.Sprintf("layer %.12s: %v; what is fetched now is fetched again if this pull is interrupted", s.desc.Digest.Encoded(), err))
	}
	g.recorded, g.sum = g.written, 0
}

// wrote accounts for bytes that came, and for those of them that were new. done says that the segment is.
func (s *spool) wrote(g *segment, r *request, came, fresh int64) (done bool) {
	s.fetcher.mu.Lock()
	defer s.fetcher.mu.Unlock()
	s.contact, s.failures = true, 0
	s.fetcher.bytes += float64(came)
	if r != nil {
		r.bytes += came
	}
	g.written += fresh
	if g.start <= s.pos && s.pos < g.end {
		s.signal()
	}
	if g.written < g.end && (fresh == 0 || len(g.requests) < 2 || g.requests[0] == r) {
		return false
	}
	for _, other := range g.requests { // the race is over with the first byte of who was called to help
		if other != r {
			other.stop(errLost)
		}
	}
	return g.written == g.end
}

func (s *spool) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// ended is what happens after a request: another, or an end of it all.
func (s *spool) ended(g *segment, r *request, err error) {
	f, now := s.fetcher, time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active--
	g.requests = slices.DeleteFunc(g.requests, func(other *request) bool { return other == r })
	switch {
	case err == nil:
		f.sample(r.bytes, now.Sub(r.started))
	case g.written < g.end && s.ctx.Err() == nil && !errors.Is(err, errLost):
		s.fail(err, r.started, now, bounds(g.written, g.end))
	}
	f.dispatch(now)
}

// fail decides whether an error is the last. Of requests that were on their way at once and failed one counts.
func (s *spool) fail(err error, started, now time.Time, what string) {
	var disk diskError
	switch {
	case s.whole:
		return // the requests that the stream has replaced
	case errors.As(err, &disk):
		s.end(disk.error)
		return
	case errors.Is(err, registry.ErrRange):
		s.whole = true
		for _, g := range s.segments {
			for _, r := range g.requests {
				r.stop(errLost)
			}
		}
		s.stream()
		return
	}
	s.fetcher.ease(err, started, now)
	s.attempts++
	passing := registry.Passing(err, s.contact || s.underway())
	if started.After(s.failed) {
		s.failures++
		s.failed = now
	} else if s.failures > 0 && passing {
		return
	}
	if !passing || s.failures > maxFailures || s.attempts > maxReconnects+len(s.segments) {
		s.end(err)
		return
	}
	s.notUntil = now.Add(wait(s.fetcher.pause, s.failures-1, err))
	s.fetcher.note(fmt.Sprintf("layer %.12s: %v; fetching %s of %d anew", s.desc.Digest.Encoded(), err, what, s.desc.Size))
}

// underway reports whether a request is on its way, whose first bytes may yet show that the source can be reached.
func (s *spool) underway() bool {
	return slices.ContainsFunc(s.segments, func(g *segment) bool { return len(g.requests) > 0 })
}

// end fails the blob for good.
func (s *spool) end(err error) {
	if s.err == nil {
		s.err = err
	}
	s.cancel()
	s.signal()
}

// stream brings everything that is missing with one request after another, from the beginning.
func (s *spool) stream() {
	s.fetcher.active++
	s.all.Go(func() {
		err := s.streamed()
		s.fetcher.mu.Lock()
		defer s.fetcher.mu.Unlock()
		s.fetcher.active--
		if err != nil {
			s.end(err)
		}
		s.fetcher.dispatch(time.Now())
	})
}

func (s *spool) streamed() (err error) {
	f := s.fetcher
	in := &stream{src: f.src, ctx: s.ctx, desc: s.desc, pause: f.pause, note: f.note, whole: true}
	defer func() { err = errors.Join(err, in.Close()) }()
	c := inflate.NewChunk()
	defer c.Release()
	buf := c.Buffer()
	for _, g := range s.segments {
		for at := g.start; at < g.end; {
			n, err := in.Read(buf[:min(g.end-at, int64(len(buf)))])
			if n == 0 {
				return cmp.Or(err, io.ErrNoProgress)
			}
			if err := s.write(g, nil, at, buf[:n]); err != nil {
				return err
			}
			at += int64(n)
		}
	}
	if n, err := in.Read(buf[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return err // longer than it should be
	}
	return nil
}
