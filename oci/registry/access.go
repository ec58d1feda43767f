package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/coracle-run/coracle/oci/registry/creds"
)

// access authenticates the requests to one repository. Where secrets go is decided here and in token.go, by these rules:
//
//   - a password or a token goes to the registry itself, with its own scheme, host and port, and there only when the
//     registry has asked for it;
//   - the password goes to the token service that the registry itself names in its challenge, which is how docker.io works
//     (auth.docker.io): over https; over http only where http is spoken with the registry and the service is on its host;
//   - nothing goes to where a redirect leads, from the registry or from the token service. A host that a redirect leads to
//     and that asks for a token gets one that was given to nobody in particular.
type access struct {
	host, scheme string
	insecure     bool
	keychain     authn.Keychain // who the user is
	target       authn.Resource // to whom
	next         http.RoundTripper

	renewing chan struct{} // holds one: who has put it there asks for a new token, and may wait for the network

	mu     sync.Mutex
	header string           // what goes into Authorization; "" as long as nothing is asked for
	scopes []string         // what tokens are asked for
	cred   creds.Credential // once known
	found  bool
}

// RoundTrip implements http.RoundTripper.
func (a *access) RoundTrip(req *http.Request) (*http.Response, error) {
	ours := a.isOurs(req.URL)
	used := ""
	if ours {
		used = a.authorization()
	}
	resp, err := a.send(req, used)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	offered, ok := choose(parseChallenges(resp.Header.Values("WWW-Authenticate")))
	if !ok || req.Body != nil && req.GetBody == nil && req.ContentLength != 0 {
		return resp, nil
	}
	var fresh string
	if ours {
		fresh, err = a.renew(req.Context(), offered, used)
	} else {
		fresh, err = a.stranger(req, offered)
	}
	if err == nil && fresh == used {
		return resp, nil // nothing else to say
	}
	discard(resp)
	if err != nil {
		return nil, err
	}
	if req, err = again(req); err != nil {
		return nil, err
	}
	return a.send(req, fresh)
}

// send sends a request with this authorization and no other. The registry's own host is always spoken to by its own
// scheme: behind a proxy that ends TLS, registries give links to themselves that say http.
func (a *access) send(req *http.Request, authorization string) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.Header.Del("Authorization")
	if authorization != "" {
		out.Header.Set("Authorization", authorization)
	}
	if out.URL.Scheme == "http" && a.scheme == "https" && sameHost(out.URL, a.scheme, a.host) {
		out.URL.Scheme = "https"
	}
	return a.next.RoundTrip(out)
}

// again is a request that can be sent once more.
func again(req *http.Request) (*http.Request, error) {
	out := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	return out, nil
}

// isOurs reports whether a URL is the registry's own: by scheme, host and port.
func (a *access) isOurs(u *url.URL) bool {
	return (u.Scheme == a.scheme || a.scheme == "https") && sameHost(u, a.scheme, a.host)
}

// sameHost compares hosts and ports; a port that is not named is that of the scheme.
func sameHost(u *url.URL, scheme, host string) bool {
	port := func(u *url.URL) string {
		switch {
		case u.Port() != "":
			return u.Port()
		case u.Scheme == "http" && scheme != "https":
			return "80"
		default:
			return "443"
		}
	}
	own := &url.URL{Scheme: scheme, Host: host}
	return strings.EqualFold(u.Hostname(), own.Hostname()) && port(u) == port(own)
}

func (a *access) authorization() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.header
}

// credential finds out, once, who the user is to this registry.
func (a *access) credential(ctx context.Context) (creds.Credential, error) {
	a.mu.Lock()
	cred, found := a.cred, a.found
	a.mu.Unlock()
	if found {
		return cred, nil
	}
	cred, err := ask(ctx, a.keychain, a.target)
	if err != nil {
		return creds.Credential{}, &CredentialError{Registry: a.target.RegistryStr(), Err: err}
	}
	a.mu.Lock()
	a.cred, a.found = cred, true
	a.mu.Unlock()
	return cred, nil
}

// ask asks a keychain. Only our own says where it has a credential from.
func ask(ctx context.Context, keychain authn.Keychain, target authn.Resource) (creds.Credential, error) {
	who, err := authn.Resolve(ctx, keychain, target)
	if err != nil {
		return creds.Credential{}, err
	}
	if cred, ok := who.(creds.Credential); ok {
		return cred, nil
	}
	config, err := authn.Authorization(ctx, who)
	if err != nil {
		return creds.Credential{}, err
	}
	return creds.Credential{AuthConfig: *config, Source: "the program's keychain"}, nil
}

// known is the credential if it was needed until now.
func (a *access) known() (cred creds.Credential, asked bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cred, a.found
}

// renew gets an authorization other than the one that was refused. When many requests are refused at once, because a token
// has expired, one asks for a new one.
func (a *access) renew(ctx context.Context, offered challenge, used string) (string, error) {
	select {
	case a.renewing <- struct{}{}:
		defer func() { <-a.renewing }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if now := a.authorization(); now != used {
		return now, nil
	}
	cred, err := a.credential(ctx)
	if err != nil {
		return "", err
	}
	fresh, err := a.answer(ctx, offered, cred)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.header = fresh
	return fresh, nil
}

// answer is what a challenge is answered with.
func (a *access) answer(ctx context.Context, offered challenge, cred creds.Credential) (string, error) {
	if cred.RegistryToken != "" {
		return "Bearer " + cred.RegistryToken, nil
	}
	if offered.scheme == "basic" {
		return basic(cred), nil
	}
	token, err := a.token(ctx, offered, cred, a.wanted(offered))
	if err != nil {
		return "", err
	}
	return "Bearer " + token, nil
}

// wanted adds the scope a challenge asks for to those before, in front: some token services look at the first only.
func (a *access) wanted(offered challenge) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	const most = 8
	if scope := offered.params["scope"]; scope != "" && !slices.Contains(a.scopes, scope) && len(a.scopes) < most {
		a.scopes = append([]string{scope}, a.scopes...)
	}
	return slices.Clone(a.scopes)
}

// stranger answers a host that a redirect led to and that wants a token: with one for nobody in particular.
func (a *access) stranger(req *http.Request, offered challenge) (string, error) {
	if offered.scheme != "bearer" || req.URL.Scheme != "https" {
		return "", nil
	}
	other := &access{host: req.URL.Host, scheme: "https", next: a.next}
	token, err := other.token(req.Context(), offered, creds.Credential{}, other.wanted(offered))
	if err != nil {
		return "", err
	}
	return "Bearer " + token, nil
}

// basic is a password in a header, or "" if there is none.
func basic(cred creds.Credential) string {
	if cred.Username == "" && cred.Password == "" {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(cred.Username+":"+cred.Password))
}

// discard reads the little that is left of an answer, so that its connection can be used again, and closes it.
func discard(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
}

// errNoToken means that a token service answered without a token. What it did answer is not shown: it may be a secret.
var errNoToken = errors.New("the token service's answer holds no token")
