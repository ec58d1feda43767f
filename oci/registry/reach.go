package registry

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"time"
)

// Reached is how a registry is reached, and what it says of itself and of its caller.
type Reached struct {
	Host   string // that was asked: the registry's, or that of a mirror
	Mirror bool
	Plain  bool          // without TLS
	User   string        // who the caller is to it; "": nobody in particular
	From   string        // where that credential was found
	Clock  time.Duration // how far its clock is ahead of ours; 0 where it does not say
	Limit  *Limit        // nil: it does not say
	Took   time.Duration // one request and its answer
}

// Limit is how much a registry still lets pass.
type Limit struct {
	Most, Left int
	Window     time.Duration // 0 if not said
}

// String is the limit in words.
func (l Limit) String() string { return limit{l.Most, l.Left, l.Window}.String() }

// Reach asks the registry of a reference for it with a HEAD, which registries that count pulls do not count. Reached is filled as far as
// the answers go, also beside an error; those are the errors of Digest.
func (c *Client) Reach(ctx context.Context, ref Ref) (r Reached, err error) {
	s, err := c.session(ctx, ref)
	if err != nil {
		return r, err
	}
	r.Host, r.Mirror, r.Plain = s.end.host, s.end.mirror, s.access.scheme == "http"
	start := time.Now()
	resp, err := c.do(ctx, s, http.MethodHead, "/manifests/"+s.identifier(ref), http.Header{"Accept": {accepted}})
	if err != nil {
		return r, err
	}
	defer discard(resp)
	r.Took = time.Since(start)
	if cred, asked := s.access.known(); asked && !cred.IsEmpty() {
		r.User, r.From = cred.Username, cred.Source
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		r.Clock = date.Sub(start.Add(r.Took / 2))
	}
	if l, ok := readLimit(resp.Header); ok {
		r.Limit = &Limit{l.most, l.left, l.window}
	}
	if resp.StatusCode != http.StatusOK {
		return r, s.blame(answerError(resp))
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "text/html" {
		return r, fmt.Errorf("%s: %w: it is a web page", r.Host, ErrNotRegistry)
	}
	return r, nil
}
