package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/coracle-run/coracle/oci/registry/creds"
)

// ParseHost reads the name of a registry as people give it to login: HOST[:PORT]; "" and Docker Hub's other names are
// docker.io. A scheme and a trailing slash, which docker takes, are taken off. The error is an ErrBadRef.
func ParseHost(s string) (string, error) {
	host := strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
	if host != s { // docker.io's own name has a path
		host, _, _ = strings.Cut(host, "/")
	}
	host = strings.TrimSuffix(host, "/")
	switch {
	case host == "" && s != "":
	case host == "", host == "index.docker.io", host == dockerHubHost, host == "registry.hub.docker.com":
		return dockerHub, nil
	case strings.Contains(host, "/"):
		return "", fmt.Errorf("%q: %w: a registry is HOST[:PORT], without a path", s, ErrBadRef)
	}
	if !isHost(host) {
		return "", fmt.Errorf("%q: %w: a registry is HOST[:PORT]", s, ErrBadRef)
	}
	return host, nil
}

// Login finds out whether a registry takes a credential, which is not stored. asked is false for a registry that lets
// everybody in: then nothing is known about it. The error for a wrong password is an ErrUnauthorized.
func (c *Client) Login(ctx context.Context, host string, cred creds.Credential) (asked bool, err error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	conf, err := c.configuration()
	if err != nil {
		return false, err
	}
	own, err := conf.Own(host, "")
	if err != nil {
		return false, err
	}
	e := endpoint{host: host, insecure: own.Insecure || c.opts.Insecure}
	cred.Source = "what was typed"
	err = c.again(ctx, host, func() error {
		asked, err = c.login(ctx, e, cred)
		return err
	})
	return asked, err
}

func (c *Client) login(ctx context.Context, e endpoint, cred creds.Credential) (asked bool, err error) {
	s, err := c.prepare(e, "")
	if err != nil {
		return false, err
	}
	s.access.cred, s.access.found = cred, true
	if err := s.open(ctx); err != nil {
		return true, refusedLogin(e, err)
	}
	if s.access.authorization() == "" {
		return false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.access.scheme+"://"+s.access.host+"/v2/", nil)
	if err != nil {
		return true, err
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := s.http.Do(req)
	if err != nil {
		return true, refusedLogin(e, explain(s.access.host, reason(ctx, err)))
	}
	if resp.StatusCode != http.StatusOK {
		return true, refusedLogin(e, answerError(resp))
	}
	discard(resp)
	return true, nil
}

// refusedLogin says what to do about a password that is not right.
func refusedLogin(e endpoint, err error) error {
	if host, ok := asHostError(err); ok && host.Kind == ErrUnauthorized { //nolint:errorlint // it is one of the sentinels
		host.detail, host.advice = "", "check the user name and the password"
		if e.host == dockerHub {
			host.advice += "; with two-factor authentication Docker Hub wants an access token in its place (https://app.docker.com/settings)"
		}
	}
	return err
}
