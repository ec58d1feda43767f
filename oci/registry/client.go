package registry

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
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
	// Insecure allows plain http and unverified certificates, for the registry and for where it redirects to.
	Insecure bool
	// Stall is how long a connection may bring nothing before it is given up; 0 is a minute.
	Stall time.Duration
	// Pause is the wait before the first new attempt; it doubles up to 15 seconds. 0 is half a second.
	Pause time.Duration
	// Note is told, in a plain sentence, when a connection is made anew. May be nil.
	Note func(text string)
	// Transport replaces the network, for tests. The guards against being led astray by name stay in front of it; those
	// against addresses are part of what it replaces.
	Transport http.RoundTripper
}

// Client reads from registries. It may be used by several goroutines.
type Client struct {
	opts Options

	connecting chan struct{}       // holds one: who has put it there makes a session, and may wait for the network
	sessions   map[string]*session // by repository; of whom is connecting

	mu   sync.Mutex
	seen map[digest.Digest]document
}

// session is an authenticated way to one repository.
type session struct {
	http *http.Client
	base string // https://HOST/v2/PATH; the scheme is changed to what the registry answered to
}

// NewClient makes a client. Nothing is connected before it is needed.
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
	return &Client{opts: opts, connecting: make(chan struct{}, 1), sessions: map[string]*session{}, seen: map[digest.Digest]document{}}
}

// session connects to a repository, once: it asks the registry how it wants to be authenticated to and does so with the
// credentials docker's configuration has for it.
func (c *Client) session(ctx context.Context, ref Ref) (*session, error) {
	select {
	case c.connecting <- struct{}{}:
		defer func() { <-c.connecting }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	key := ref.Repository()
	if s, ok := c.sessions[key]; ok {
		return s, nil
	}
	s, err := c.connect(ctx, ref)
	if err != nil {
		return nil, err
	}
	c.sessions[key] = s
	return s, nil
}

func (c *Client) connect(ctx context.Context, ref Ref) (*session, error) {
	repo, err := repository(ref, c.opts.Insecure)
	if err != nil {
		return nil, err
	}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repo)
	if err != nil {
		return nil, &CredentialError{Registry: ref.Registry(), Err: err}
	}
	base := c.opts.Transport
	if base == nil {
		base = newTransport(repo.RegistryStr(), c.opts.Insecure)
	}
	base = &guard{registry: repo.RegistryStr(), insecure: c.opts.Insecure, next: &patience{stall: c.opts.Stall, next: base}}
	guarded := transport.NewUserAgent(base, userAgent)
	rt, err := transport.NewWithContext(ctx, repo.Registry, auth, guarded, []string{repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, explain(repo.RegistryStr(), reason(ctx, err))
	}
	return &session{
		http: &http.Client{Transport: rt, CheckRedirect: limitRedirects},
		base: "https://" + repo.RegistryStr() + "/v2/" + repo.RepositoryStr(),
	}, nil
}

// repository is the reference in go-containerregistry's terms. Plain http is an option for this machine, and for others
// when asked for; what that package itself takes for local (all of RFC 1918) is stopped by guard.
func repository(ref Ref, insecure bool) (name.Repository, error) {
	var opts []name.Option
	if insecure || isLoopback(ref.Registry()) {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(ref.Repository(), opts...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%s: %w: %w", ref, ErrBadRef, err)
	}
	return repo, nil
}

func limitRedirects(_ *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", ErrNotRegistry, maxRedirects)
	}
	return nil
}

// CredentialError means that docker's configuration or a credential helper failed.
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
	return "check config.json in $DOCKER_CONFIG or ~/.docker, and the credential helper it names"
}
