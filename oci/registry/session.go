package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
)

// What a token is asked for.
const (
	actionPull = "pull"
	actionPush = "pull,push"
)

// session is an authenticated way to one repository.
type session struct {
	http   *http.Client
	base   string // SCHEME://HOST/v2/PATH
	end    endpoint
	access *access

	route *route
	at    int // in the route
}

// on is the session as a part of a route.
func (s *session) on(r *route, at int) *session {
	out := *s
	out.route, out.at = r, at
	return &out
}

// pushSession is the authenticated way to push to a repository: mirrors and locations are for pulling.
func (c *Client) pushSession(ctx context.Context, ref Ref) (*session, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	conf, err := c.configuration()
	if err != nil {
		return nil, err
	}
	own, err := conf.Own(ref.Repository(), ref.suffix())
	if err != nil {
		return nil, err
	}
	e, err := c.endpoint(own, ref)
	if err != nil {
		return nil, err
	}
	return c.connected(ctx, e, actionPush)
}

// connected is the session with an endpoint, made when it is not there yet. The caller has the lock.
func (c *Client) connected(ctx context.Context, e endpoint, actions string) (*session, error) {
	key := actions + " " + e.String()
	if s, ok := c.sessions[key]; ok {
		return s, nil
	}
	s, err := c.connect(ctx, e, "repository:"+e.path+":"+actions)
	if err != nil {
		return nil, err
	}
	c.sessions[key] = s
	return s, nil
}

// connect is an authenticated session with an endpoint.
func (c *Client) connect(ctx context.Context, e endpoint, scope string) (*session, error) {
	s, err := c.prepare(e, scope)
	if err != nil {
		return nil, err
	}
	return s, s.open(ctx)
}

// prepare makes a session that has not spoken yet. The caller has the lock.
func (c *Client) prepare(e endpoint, scope string) (*session, error) {
	next, err := c.transport(e)
	if err != nil {
		return nil, err
	}
	a := &access{host: e.address(), insecure: e.insecure, keychain: c.opts.Keychain, target: e, next: next, renewing: make(chan struct{}, 1)}
	if scope != "" {
		a.scopes = []string{scope}
	}
	return &session{http: &http.Client{Transport: a, CheckRedirect: limitRedirects}, end: e, access: a}, nil
}

// open finds out how a registry is spoken to and who it wants to see: it authenticates when it is asked to.
func (s *session) open(ctx context.Context) error {
	a := s.access
	scheme, offered, err := ping(ctx, s.end, a.next)
	if err != nil {
		return s.blame(err)
	}
	a.scheme, s.base = scheme, scheme+"://"+a.host+"/v2/"+s.end.path
	if way, ok := choose(offered); ok {
		if _, err := a.renew(ctx, way, ""); err != nil {
			return s.blame(explain(a.host, reason(ctx, err)))
		}
	}
	return nil
}

// transport is the way to the network for an endpoint, with all guards. The caller has the lock.
func (c *Client) transport(e endpoint) (http.RoundTripper, error) {
	key := e.host
	if e.insecure {
		key += " insecure"
	}
	if t, ok := c.transports[key]; ok {
		return t, nil
	}
	t := c.opts.Transport
	if t == nil {
		var err error
		if t, err = newTransport(e); err != nil {
			return nil, err
		}
	}
	t = &guard{registry: e.address(), insecure: e.insecure, next: &patience{stall: c.opts.Stall, next: t}}
	c.transports[key] = t
	return t, nil
}

// ping asks a registry whether it is one, over https, and over http where that may be spoken and https is not. What it
// offers for authentication counts only from itself, not from where it redirects to.
func ping(ctx context.Context, e endpoint, next http.RoundTripper) (scheme string, offered []challenge, err error) {
	offered, err = pingWith(ctx, "https", e, next)
	if err == nil || !e.insecure && !isLoopback(e.host) || speaksTLS(ctx, err) {
		return "https", offered, err
	}
	offered, plain := pingWith(ctx, "http", e, next)
	if plain == nil {
		return "http", offered, nil
	}
	var notTLS tls.RecordHeaderError
	if errors.As(err, &notTLS) || isHTTP(err) {
		return "", nil, plain
	}
	return "", nil, err
}

// speaksTLS reports whether an error of https is no reason to try http.
func speaksTLS(ctx context.Context, err error) bool {
	var host *HostError
	return ctx.Err() != nil || errors.As(err, &host) && host.Status != 0 || errors.Is(err, ErrCertificate) || errors.Is(err, ErrForbiddenAddress) || errors.Is(err, ErrNotRegistry) || errors.Is(err, errStalled) || isAlert(err)
}

func pingWith(ctx context.Context, scheme string, e endpoint, next http.RoundTripper) ([]challenge, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+e.address()+"/v2/", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	client := &http.Client{Transport: next, CheckRedirect: limitRedirects}
	resp, err := client.Do(req)
	if err != nil {
		return nil, explain(e.address(), reason(ctx, err))
	}
	switch resp.StatusCode {
	case http.StatusOK:
		discard(resp)
		return nil, nil
	case http.StatusUnauthorized:
		defer discard(resp)
		if !sameHost(resp.Request.URL, scheme, e.address()) || resp.Request.URL.Scheme != scheme {
			return nil, nil
		}
		return parseChallenges(resp.Header.Values("WWW-Authenticate")), nil
	default:
		err := answerError(resp)
		if err.Status == http.StatusNotFound {
			err.Kind, err.advice = ErrNotRegistry, "check the registry's host and port: what answers there has no registry's API"
		}
		return nil, err
	}
}

// identifier is what stands for a reference in a request for its manifest.
func (s *session) identifier(ref Ref) string {
	if ref.tag != "" && s.end.tag != "" {
		return s.end.tag
	}
	return ref.identifier()
}
