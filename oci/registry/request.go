package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// do sends one request below the repository's URL and returns its answer, whatever its status.
func (c *Client) do(ctx context.Context, s *session, method, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", userAgent)
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, s.blame(explain(req.URL.Host, reason(ctx, err)))
	}
	c.watchLimit(s.end, resp)
	return resp, nil
}

// get is do with GET, and makes every status but those wanted an error.
func (c *Client) get(ctx context.Context, s *session, path string, header http.Header, want ...int) (*http.Response, error) {
	resp, err := c.do(ctx, s, http.MethodGet, path, header)
	if err != nil {
		return nil, err
	}
	for _, status := range want {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	return nil, s.blame(answerError(resp))
}

// readAll reads an answer that must not be larger than most.
func readAll(resp *http.Response, most int64, what string) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }() // it has been read, or failed to be
	if resp.ContentLength > most {
		return nil, fmt.Errorf("%s of %d bytes: %w: at most %d", what, resp.ContentLength, ErrTooLarge, most)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, explain(resp.Request.URL.Host, err)
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("%s: %w: at most %d bytes", what, ErrTooLarge, most)
	}
	return raw, nil
}
