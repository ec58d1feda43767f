package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// answer is a response whose connection is given up when it brings nothing for the client's Stall.
type answer struct {
	*http.Response
	body  io.ReadCloser
	timer *time.Timer
	stall time.Duration
	stop  context.CancelCauseFunc
	ctx   context.Context //nolint:containedctx // of this one request
}

// Read reads the body. The clock runs only meanwhile: a reader may take its time between two calls.
func (a *answer) Read(p []byte) (int, error) {
	a.timer.Reset(a.stall)
	n, err := a.body.Read(p)
	a.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = a.cause(err)
	}
	return n, err
}

// cause prefers the reason a request was ended for over what the HTTP client makes of it.
func (a *answer) cause(err error) error {
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	return err
}

// Close gives the connection up.
func (a *answer) Close() error {
	a.timer.Stop()
	a.stop(context.Canceled)
	return a.body.Close()
}

// do sends one request below the repository's URL and returns its answer, whatever its status.
func (c *Client) do(ctx context.Context, s *session, method, path string, header http.Header) (*answer, error) {
	ctx, stop := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, nil)
	if err != nil {
		stop(err)
		return nil, err
	}
	req.Header = header
	req.Header.Set("Accept-Encoding", "identity")
	a := &answer{stop: stop, stall: c.opts.Stall, ctx: ctx}
	host := req.URL.Host
	a.timer = time.AfterFunc(c.opts.Stall, func() { stop(errStalled) })
	a.Response, err = s.http.Do(req) //nolint:bodyclose // the answer is the body and is closed by its reader
	a.timer.Stop()
	if err != nil {
		err = explain(host, a.cause(err))
		stop(err)
		return nil, err
	}
	a.body = a.Body
	a.Body = a // so that errors are read under the same timer
	return a, nil
}

// get is do with GET, and makes every status but those wanted an error.
func (c *Client) get(ctx context.Context, s *session, path string, header http.Header, want ...int) (*answer, error) {
	a, err := c.do(ctx, s, http.MethodGet, path, header)
	if err != nil {
		return nil, err
	}
	for _, status := range want {
		if a.StatusCode == status {
			return a, nil
		}
	}
	return nil, answerError(a.Response)
}

// readAll reads an answer that must not be larger than most.
func readAll(a *answer, most int64, what string) ([]byte, error) {
	defer func() { _ = a.Close() }() // it has been read, or failed to be
	if a.ContentLength > most {
		return nil, fmt.Errorf("%s of %d bytes: %w: at most %d", what, a.ContentLength, ErrTooLarge, most)
	}
	raw, err := io.ReadAll(io.LimitReader(a, most+1))
	if err != nil {
		return nil, explain(a.Request.URL.Host, err)
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("%s: %w: at most %d bytes", what, ErrTooLarge, most)
	}
	return raw, nil
}
