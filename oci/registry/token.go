package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/coracle-run/coracle/oci/registry/creds"
)

const (
	maxToken = 1 << 20 // bytes of a token service's answer; tokens of some are tens of KiB

)

// token asks the service that a challenge names for a token (distribution's token authentication; with an identity token,
// its OAuth 2 form).
func (a *access) token(ctx context.Context, offered challenge, cred creds.Credential, scopes []string) (string, error) {
	realm, err := a.realm(offered.params["realm"], !cred.IsEmpty())
	if err != nil {
		return "", err
	}
	req, err := tokenRequest(ctx, realm, offered.params["service"], cred, scopes)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: a.next, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if next.URL.Scheme == realm.Scheme && next.URL.Host == realm.Host || cred.IsEmpty() {
			return limitRedirects(next, via)
		}
		return fmt.Errorf("%w: the token service %s leads to %s, with a password", ErrForbiddenAddress, realm.Host, next.URL.Host)
	}}
	resp, err := client.Do(req)
	if err != nil {
		return "", explain(realm.Host, reason(ctx, err))
	}
	if resp.StatusCode != http.StatusOK {
		return "", answerError(resp)
	}
	defer discard(resp)
	return readToken(realm.Host, resp.Body)
}

func readToken(host string, body io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxToken+1))
	if err != nil {
		return "", explain(host, err)
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(raw, &answer) != nil || len(raw) > maxToken {
		return "", &HostError{Host: host, Kind: ErrNotRegistry, Err: errNoToken}
	}
	token := answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &HostError{Host: host, Kind: ErrNotRegistry, Err: errNoToken}
	}
	return token, nil
}

// realm is the URL of a token service, if it is one that a registry may send somebody to.
func (a *access) realm(text string, secret bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: %s names the token service %q", ErrForbiddenAddress, a.host, clip(text))
	}
	own := strings.EqualFold(u.Hostname(), hostOnly(a.host))
	local := isLoopback(a.host) && isLoopback(u.Host)
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && a.scheme == "http" && (own || local):
	case u.Scheme == "http" && a.scheme == "http" && a.insecure && !secret:
	case u.Scheme == "http" && secret:
		return nil, fmt.Errorf("%w: the password would go to the token service %s over plain http", ErrForbiddenAddress, u.Host)
	default:
		return nil, fmt.Errorf("%w: the token service is at %s over %s", ErrForbiddenAddress, u.Host, clip(u.Scheme))
	}
	// A registry with a public name has no business inside a network. Names that mean such addresses are usual there, and
	// the dialer looks at what they mean.
	ip, err := netip.ParseAddr(u.Hostname())
	if err == nil && !own && !local && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()) && !isPrivate(a.host) {
		return nil, fmt.Errorf("%w: the token service is at the private address %s", ErrForbiddenAddress, u.Host)
	}
	return u, nil
}

func isPrivate(host string) bool {
	ip, err := netip.ParseAddr(hostOnly(host))
	return err == nil && ip.IsPrivate()
}

// tokenRequest is a GET with the password in a header, or for an identity token a POST with that in its body.
func tokenRequest(ctx context.Context, realm *url.URL, service string, cred creds.Credential, scopes []string) (*http.Request, error) {
	if cred.IdentityToken != "" {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {cred.IdentityToken}, "client_id": {userAgent}}
		if service != "" {
			form.Set("service", service)
		}
		if len(scopes) > 0 {
			form.Set("scope", strings.Join(scopes, " "))
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req, nil
	}
	target := *realm
	query := target.Query()
	if service != "" {
		query.Set("service", service)
	}
	if len(scopes) > 0 {
		query["scope"] = scopes
	}
	if cred.Username != "" {
		query.Set("account", cred.Username)
	}
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	if header := basic(cred); header != "" {
		req.Header.Set("Authorization", header)
	}
	return req, nil
}
