package pull

import (
	"cmp"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// spool is a blob that several requests write to a partial blob of the store, while one reader follows: it gets each byte as
// soon as all before it are there, in the middle of a range, too. Each byte is written once, whoever brings it, so that what
// the reader has seen is what stays.
type spool struct {
	fetcher *fetcher
	ctx     context.Context //nolint:containedctx // lives for one layer
	cancel  context.CancelFunc
	desc    ocispec.Descriptor
	partial *blob.Partial
	resumed int64         // bytes that were there before
	read    func(n int64) // told what comes in
	wake    chan struct{} // a token when there is more to read, or an end
	all     sync.WaitGroup

	// Of the fetcher's lock.
	segments []*segment
	pos      int64         // of the reader
	at       int           // the segment pos is in
	waits    time.Time     // since when the reader waits; zero: it does not
	waited   time.Duration // since the last beat
	ahead    bool          // nobody reads it yet
	err      error         // for good
	whole    bool          // the source has no ranges: one stream brings everything
	contact  bool          // the source has sent something
	notUntil time.Time     // no request before
	failed   time.Time     // when the last failure was counted
	failures int           // in a row, without a byte in between
	attempts int           // that failed, in all
	rivals   int           // races so far
}

// spool opens the partial of a blob and begins to fetch what is missing; ahead says that nobody reads it yet: see wanted. It
// must be finished.
func (p *puller) spool(ctx context.Context, desc ocispec.Descriptor, ranges, ahead bool) (*spool, error) {
	partial, err := p.store.Blobs().Partial(desc.Digest, desc.Size)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &spool{
		fetcher: p.fetch, ctx: ctx, cancel: cancel, desc: desc, partial: partial, whole: !ranges, ahead: ahead,
		read: p.reads(desc), wake: make(chan struct{}, 1),
	}
	s.cut(p.fetch.rangeSize)
	if s.resumed > 0 {
		p.progress.LayerResumed(string(desc.Digest), s.resumed)
	}
	p.fetch.mu.Lock()
	defer p.fetch.mu.Unlock()
	p.fetch.spools = append(p.fetch.spools, s)
	if s.whole {
		s.stream()
	}
	p.fetch.dispatch(time.Now())
	return s, nil
}

// wanted says that there is a reader now.
func (s *spool) wanted() {
	s.fetcher.mu.Lock()
	defer s.fetcher.mu.Unlock()
	s.ahead = false
}

// cut divides the blob into what is there and what is to be fetched.
func (s *spool) cut(size int64) {
	var end int64
	gap := func(to int64) {
		for ; end < to; end = min(end+size, to) {
			s.segments = append(s.segments, &segment{start: end, end: min(end+size, to), written: end, recorded: end})
		}
	}
	for _, r := range s.partial.There() {
		gap(r.Offset)
		end = r.End()
		s.resumed += r.Length
		if n := len(s.segments); n > 0 && s.segments[n-1].written == r.Offset {
			s.segments[n-1].end, s.segments[n-1].written = end, end // it goes on
			continue
		}
		s.segments = append(s.segments, &segment{start: r.Offset, end: end, written: end})
	}
	gap(s.desc.Size)
}

// Read implements io.Reader.
func (s *spool) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		ready, err := s.ready(int64(len(p)))
		switch {
		case ready > 0:
			n, err := s.partial.ReadAt(p[:ready], s.pos)
			s.advance(int64(n))
			if n > 0 {
				return n, nil
			}
			return 0, err
		case err != nil:
			return 0, err
		}
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			if n, err := s.ready(1); n == 0 {
				return 0, cmp.Or(err, context.Cause(s.ctx)) // a failure of its own comes first, for it has ended ctx
			}
		}
	}
}

// ready is how many bytes there are to read, of those that are wanted, or why there will be none.
func (s *spool) ready(wanted int64) (int64, error) {
	s.fetcher.mu.Lock()
	defer s.fetcher.mu.Unlock()
	end := s.pos
	for _, g := range s.segments[s.at:] {
		if end = max(end, g.written); g.written < g.end || end-s.pos >= wanted {
			break
		}
	}
	now := time.Now()
	if !s.waits.IsZero() {
		s.waited += now.Sub(s.waits)
		s.waits = time.Time{}
	}
	switch {
	case end > s.pos:
		return min(end-s.pos, wanted), nil
	case s.pos == s.desc.Size:
		return 0, io.EOF
	case s.err != nil:
		return 0, s.err
	}
	s.waits = now
	return 0, nil
}

// advance moves the reader.
func (s *spool) advance(n int64) {
	s.fetcher.mu.Lock()
	defer s.fetcher.mu.Unlock()
	s.pos += n
	before := s.at
	for s.at < len(s.segments) && s.segments[s.at].end <= s.pos {
		s.at++
	}
	if s.at != before {
		s.fetcher.dispatch(time.Now()) // the window has moved
	}
}

// stop ends all requests and waits for them.
func (s *spool) stop() {
	s.cancel()
	s.all.Wait()
	s.fetcher.mu.Lock()
	defer s.fetcher.mu.Unlock()
	s.fetcher.spools = slices.DeleteFunc(s.fetcher.spools, func(other *spool) bool { return other == s })
}

// Close stops, and leaves what is there for another time, the beginnings of ranges, too.
func (s *spool) Close() error {
	s.stop()
	for _, g := range s.segments {
		if g.written < g.end {
			s.record(g)
		}
	}
	return s.partial.Close()
}

// finish ends what Read began, and decides what stays: the blob, a part of it, or nothing. err is what became of it.
func (s *spool) finish(err error, keep bool) error {
	switch {
	case err == nil && keep:
		s.stop()
		return s.partial.Keep()
	case err == nil, blamesContent(err), fsx.IsFull(err):
		s.stop()
		return s.partial.Drop()
	}
	return s.Close()
}

// old reports whether some of it was there before this process.
func (s *spool) old() bool { return s.resumed > 0 }
