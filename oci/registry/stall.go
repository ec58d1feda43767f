package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// minRate is what a connection must bring while somebody waits for it, in bytes a second over the time of a stall: one that
// drips is as good as one that is silent, and does not end. It is far below what any network has that can be used.
const minRate = 1 << 10

// patience gives up a request whose connection brings nothing, or next to nothing, for a while, before the header or in the
// middle of the body. It is below everything that makes requests of its own, so that challenges, tokens, redirects,
// manifests and blobs all have the same limit.
type patience struct {
	stall time.Duration
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (p *patience) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, stop := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(p.stall, func() { stop(errStalled) })
	out := &sending{timer: timer, stall: p.stall}
	resp, err := p.next.RoundTrip(out.wrap(req.WithContext(ctx)))
	out.end()
	timer.Stop()
	if err != nil {
		err = reason(ctx, err)
		stop(err)
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, stop: stop, timer: timer, stall: p.stall}
	return resp, nil
}

// sending starts the clock of a request anew whenever the connection has taken a piece of its body. While the next piece is
// being read it stands still: where that comes from has a patience of its own.
type sending struct {
	timer *time.Timer
	stall time.Duration

	mu    sync.Mutex
	ended bool
}

// wrap has the body of a request watched.
func (s *sending) wrap(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		return req
	}
	req.Body = &watched{req.Body, s}
	if open := req.GetBody; open != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := open()
			if err != nil {
				return nil, err
			}
			return &watched{body, s}, nil
		}
	}
	return req
}

// end leaves the clock alone from now on: the answer has begun.
func (s *sending) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

func (s *sending) clock(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		f()
	}
}

// watched is a body that is sent.
type watched struct {
	io.ReadCloser
	sending *sending
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	w.sending.clock(func() { w.sending.timer.Stop() })
	n, err := w.ReadCloser.Read(p)
	w.sending.clock(func() { w.sending.timer.Reset(w.sending.stall) })
	return n, err
}

// body ends its request when reading takes too long for what it brings. The clock runs only while a Read waits: a reader may
// take its time between two calls.
type body struct {
	io.ReadCloser
	ctx   context.Context //nolint:containedctx // of this one request
	stop  context.CancelCauseFunc
	timer *time.Timer
	stall time.Duration

	waited time.Duration // in this window
	got    int64         // in this window
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	start := time.Now()
	n, err := b.ReadCloser.Read(p)
	b.waited += time.Since(start)
	b.timer.Stop()
	b.got += int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		err = reason(b.ctx, err)
	case err == nil && b.waited >= b.stall:
		if float64(b.got) < minRate*b.stall.Seconds() {
			b.stop(errStalled)
			return 0, errStalled
		}
		b.waited, b.got = 0, 0
	}
	return n, err
}

// Close gives the connection up, or back when all of the body was read.
func (b *body) Close() error {
	b.timer.Stop()
	b.stop(context.Canceled)
	return b.ReadCloser.Close()
}

// reason prefers why a request was ended over what the HTTP client makes of it.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
