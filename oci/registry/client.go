package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/registry/creds"
	"github.com/coracle-run/coracle/oci/registry/routes"
)

const (
	// MaxManifest bounds a manifest, an index and a configuration, in bytes.
	MaxManifest = 4 << 20

	defaultStall = 60 * time.Second
	defaultPause = 500 * time.Millisecond
	maxPause     = 15 * time.Second
	maxRetries   = 5 // in a row, of what failed in a way that may pass
	maxRedirects = 10
	userAgent    = "coracle"
)

// Options of a Client. The zero value is what a user without wishes gets.
type Options struct {
	// Insecure allows plain http and unverified certificates, for the registry and for where it redirects to. What
	// registries.conf says of its mirrors is not changed by it.
	Insecure bool
	// Mirrors are asked before those of registries.conf.
	Mirrors []routes.Mirror
	// Stall is how long a connection may bring nothing, or less than minRate, before it is given up; 0 is a minute.
	Stall time.Duration
	// Pause is the wait before the first new attempt; it doubles up to 15 seconds. 0 is half a second.
	Pause time.Duration
	// Note is told, in a plain sentence, when a connection is made anew, when a mirror is passed over, and what else a
	// person should know. May be nil.
	Note func(text string)
	// Keychain knows who the user is to a registry; nil is creds.Place's, which looks where docker and podman do.
	Keychain authn.Keychain
	// Transport replaces the network, for tests. The guards against being led astray by name stay in front of it; those
	// against addresses are part of what it replaces.
	Transport http.RoundTripper
}

// Client speaks to registries, about one image: which mirror an image's repository is read from is decided once. It may be
// used by several goroutines.
type Client struct {
	opts Options

	connecting chan struct{} // holds one: who has put it there makes a session, and may wait for the network
	conf       *routes.Config
	routes     map[string]*route            // by repository
	sessions   map[string]*session          // by endpoint; of whom is connecting
	transports map[string]http.RoundTripper // by endpoint's host; of whom is connecting

	mu    sync.Mutex
	seen  map[digest.Digest]document
	noted map[string]bool
}

// NewClient makes a client. Nothing is connected, and no file read, before it is needed.
func NewClient(opts Options) *Client {
	if opts.Stall == 0 {
		opts.Stall = defaultStall
	}
	if opts.Pause == 0 {
		opts.Pause = defaultPause
	}
	if opts.Note == nil {
		opts.Note = func(string) {}
	}
	if opts.Keychain == nil {
		place := creds.Here()
		place.Note = opts.Note
		opts.Keychain = place
	}
	return &Client{
		opts: opts, connecting: make(chan struct{}, 1), routes: map[string]*route{}, sessions: map[string]*session{},
		transports: map[string]http.RoundTripper{}, seen: map[digest.Digest]document{}, noted: map[string]bool{},
	}
}

// session is the authenticated way to where a repository is read from now, made when it is not there yet. A mirror that
// cannot be connected to is passed over.
func (c *Client) session(ctx context.Context, ref Ref) (*session, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := c.route(ref)
	if err != nil {
		return nil, err
	}
	for {
		at := c.at(r)
		s, err := c.connected(ctx, r.ends[at], actionPull)
		if err == nil {
			return s.on(r, at), nil
		}
		if ctx.Err() != nil || !c.passOver(r, at, err) {
			return nil, c.tried(r, err)
		}
	}
}

// lock waits for whoever is connecting.
func (c *Client) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case c.connecting <- struct{}{}:
		return func() { <-c.connecting }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// once reports whether something is to be said, which it is the first time.
func (c *Client) once(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noted[what] {
		return false
	}
	c.noted[what] = true
	return true
}

func limitRedirects(_ *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", ErrNotRegistry, maxRedirects)
	}
	return nil
}

// CredentialError means that a file of credentials or a credential helper failed.
type CredentialError struct {
	Registry string
	Err      error
}

// Error implements error.
func (e *CredentialError) Error() string {
	return fmt.Sprintf("credentials for %s: %v", e.Registry, e.Err)
}

// Unwrap gives the cause.
func (e *CredentialError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *CredentialError) Hint() string {
	var known interface{ Hint() string } // a file's or a helper's
	if errors.As(e.Err, &known) {
		return known.Hint()
	}
	return ""
}
