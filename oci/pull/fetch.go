package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coracle-run/coracle/oci/registry"
)

const (
	// rangeSize is what one request asks for of a large blob; blobs of at least two are large. Large enough that a request's
	// round trip does not show, small enough that a killed pull loses little.
	rangeSize = 16 << 20
	// readAhead is how far the network may be ahead of who reads a blob, at least.
	readAhead = 128 << 20

	straggler    = 2 * time.Second // how long a request may be slow before another races it
	slow         = 8               // times slower than others is a straggler
	lateBeats    = 10              // that lately is
	maxRivals    = 1               // races for one blob, and one more for each rivalShare ranges
	rivalShare   = 32
	rateMemory   = 4 // requests the typical rate is remembered over
	noRivalBelow = 2 // finished requests, before anybody can be called slow
)

// fetcher fetches large blobs as ranges, several at once, over connections that all layers of a pull share. The requests of
// small layers take their place among them.
type fetcher struct {
	src       Source
	pause     time.Duration
	note      func(text string)
	rangeSize int64
	straggler time.Duration

	mu       sync.Mutex
	pace     pace
	active   int      // connections
	waiting  int      // streams that want one
	free     chan any // a token when a stream may look again
	spools   []*spool
	notUntil time.Time // the registry has asked to wait
	eased    time.Time // when it last did
	beaten   time.Time // the last beat
	late     time.Time // when a beat came late: it is this machine that is slow
	bytes    float64   // since the last beat
	typical  float64   // bytes a second of a request
	finished int       // requests
}

func newFetcher(src Source, opts Options, note func(string)) *fetcher {
	f := &fetcher{src: src, pause: opts.Pause, note: note, rangeSize: opts.RangeSize, straggler: straggler, pace: newPace(), free: make(chan any, 1)}
	if f.pause == 0 {
		f.pause = defaultPause
	}
	if f.rangeSize == 0 {
		f.rangeSize = rangeSize
	}
	return f
}

// ranged reports whether a blob is to be fetched in parts.
func (f *fetcher) ranged(size int64) bool {
	return f.parallel() && size >= 2*f.rangeSize
}

// parallel reports whether several requests at once make sense.
func (f *fetcher) parallel() bool {
	src, ok := f.src.(Parallel)
	return ok && src.Parallel()
}

// run beats until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f.beat(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (f *fetcher) beat(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delayed(now)
	f.beaten = now
	starving := false
	for _, s := range f.spools {
		waited := s.waited
		if !s.waits.IsZero() {
			waited += now.Sub(s.waits)
			s.waits = now
		}
		s.waited = 0
		s.look()
		starving = starving || waited > beat/2
	}
	f.pace.tick(f.bytes, starving)
	f.bytes = 0
	f.dispatch(now)
}

// delayed reports whether this machine itself is slow, or was a moment ago: a beat comes late, or is overdue. A process that stood still,
// which a scheduler may suspend, comes to look at its requests before the beat that tells.
func (f *fetcher) delayed(now time.Time) bool {
	if !f.beaten.IsZero() && now.Sub(f.beaten) > 2*beat {
		f.late = now
	}
	return now.Sub(f.late) < f.straggler
}

// dispatch starts requests for as long as there are connections to have and something to ask for. The lock is held.
func (f *fetcher) dispatch(now time.Time) {
	if f.waiting > 0 && f.active < f.pace.most {
		select {
		case f.free <- nil:
		default:
		}
	}
	if now.Before(f.notUntil) {
		return // beat comes again
	}
	for f.active < f.pace.limit && f.waiting == 0 {
		s, g := f.next(now)
		if s == nil {
			return
		}
		s.request(g, now)
	}
}

// next chooses what to ask for: the rest of a range that holds somebody up, else the range that is nearest to who reads it,
// else one of a layer whose turn has not come, else the rest of one that is slow to come.
func (f *fetcher) next(now time.Time) (*spool, *segment) {
	if s, g := f.slowest(now, true); s != nil {
		return s, g
	}
	if s, g := f.nearest(now); s != nil {
		return s, g
	}
	for _, s := range f.spools {
		if g := s.pending(now); s.ahead && g != nil && g.written < readAhead {
			return s, g
		}
	}
	return f.slowest(now, false)
}

// nearest is the range nobody fetches that is nearest to who reads it.
func (f *fetcher) nearest(now time.Time) (best *spool, found *segment) {
	window := max(readAhead, 2*int64(f.pace.limit)*f.rangeSize)
	for _, s := range f.spools {
		g := s.pending(now)
		if s.ahead || g == nil || g.written-s.pos > window {
			continue
		}
		if best == nil || g.written-s.pos < found.written-best.pos {
			best, found = s, g
		}
	}
	return best, found
}

// slowest is the range, of those whose requests are much slower lately than others were, that takes longest. With front it
// must be one that somebody waits for. There is none while this machine itself is slow: then all of them are.
func (f *fetcher) slowest(now time.Time, front bool) (best *spool, found *segment) {
	if f.finished < noRivalBelow || f.delayed(now) {
		return nil, nil
	}
	var worst float64
	for _, s := range f.spools {
		if !s.mayRace(now) {
			continue
		}
		for _, g := range s.segments[s.at:] {
			if front && (s.waits.IsZero() || g.start > s.pos) {
				break
			}
			if len(g.requests) != 1 {
				continue
			}
			age := now.Sub(g.requests[0].started)
			rate := g.requests[0].lately
			if age < f.straggler || rate*slow > f.typical {
				continue
			}
			if left := float64(g.end-g.written) / max(rate, 1); left > worst && left > f.straggler.Seconds() {
				worst, best, found = left, s, g
			}
		}
	}
	return best, found
}

// sample remembers how fast a request was.
func (f *fetcher) sample(bytes int64, took time.Duration) {
	rate := float64(bytes) / max(took.Seconds(), 1e-3)
	f.finished++
	f.typical += (rate - f.typical) / float64(min(f.finished, rateMemory))
}

// ease makes fewer requests when the registry says that there are too many. Of requests that were on their way at once, one
// counts.
func (f *fetcher) ease(err error, started, now time.Time) {
	var host *registry.HostError
	if !errors.As(err, &host) || host.Status != http.StatusTooManyRequests && host.Status != http.StatusServiceUnavailable {
		return
	}
	if until := now.Add(registry.RetryAfter(err)); until.After(f.notUntil) {
		f.notUntil = until
	}
	if started.After(f.eased) {
		f.eased = now
		f.pace.throttled()
	}
}

// acquire waits for a connection for a stream, which comes before ranges.
func (f *fetcher) acquire(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting++
	defer func() { f.waiting-- }()
	for f.active >= f.pace.most {
		f.mu.Unlock()
		select {
		case <-f.free:
		case <-ctx.Done():
		}
		f.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	f.active++
	return nil
}

func (f *fetcher) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active--
	f.dispatch(time.Now())
}

// counted is a stream that has one of the connections from its first read on.
type counted struct {
	stream
	fetcher *fetcher
	has     bool
	read    func(n int64)
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	if !c.has {
		if err := c.fetcher.acquire(c.ctx); err != nil {
			return 0, err
		}
		c.has = true
	}
	n, err := c.stream.Read(p)
	if n > 0 {
		c.read(int64(n))
	}
	if errors.Is(err, io.EOF) {
		c.done()
	}
	return n, err
}

func (c *counted) done() {
	if c.has {
		c.has = false
		c.fetcher.release()
	}
}

// Close gives the connection back or up.
func (c *counted) Close() error {
	err := c.stream.Close()
	c.done()
	return err
}

// finish implements blob: there is nothing that could stay.
func (c *counted) finish(error, bool) error { return c.Close() }

func (c *counted) old() bool { return false }

// bounds says in a message which part of a blob is meant.
func bounds(from, to int64) string { return fmt.Sprintf("bytes %d to %d", from, to) }
