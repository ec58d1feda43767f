package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// errStalled ends a connection that brings nothing.
var errStalled = errors.New("no data for too long")

// HostError is what went wrong with one host. It is the sentinel in Kind, and whatever Err is.
type HostError struct {
	Host   string
	Kind   error // ErrUnreachable, ErrUnauthorized, ErrNotFound, ErrRateLimited, ErrCertificate, ErrNotRegistry or ErrForbiddenAddress
	Status int   // the HTTP status, 0 if there was no answer
	Err    error // may be nil

	advice string
	detail string        // more about it
	wait   time.Duration // what the host asks to wait, within bounds
	final  bool          // waiting does not help
}

// Error implements error.
func (e *HostError) Error() string {
	text := fmt.Sprintf("%s: %v", e.Host, e.Kind)
	if e.Status != 0 {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Err != nil {
		text += ": " + clip(strings.TrimPrefix(e.Err.Error(), e.Kind.Error()+": "))
	}
	if e.detail != "" {
		text += " (" + e.detail + ")"
	}
	return text
}

// Unwrap gives the sentinel and the cause.
func (e *HostError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Hint says what to do next, if anything is known.
func (e *HostError) Hint() string { return e.advice }

func asHostError(err error) (*HostError, bool) {
	var host *HostError
	return host, errors.As(err, &host)
}

// clip keeps a stranger's text to a line's length or three.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// explain turns what the HTTP client says into a HostError. Errors of a context stay as they are, and those that say
// themselves what was wrong.
func explain(host string, err error) error {
	var known *HostError
	var cred *CredentialError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &cred):
		return cred
	case errors.Is(err, context.Canceled) && !errors.Is(err, errStalled), errors.Is(err, ErrDigest):
		return err
	}
	e := &HostError{Host: host, Kind: ErrUnreachable, Err: plain(err)}
	for _, kind := range []error{ErrForbiddenAddress, ErrNotRegistry} {
		if errors.Is(err, kind) {
			e.Kind = kind
		}
	}
	var syntax *json.SyntaxError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &syntax):
		e.Kind = ErrNotRegistry
	case errors.As(err, &cert):
		e.Kind, e.Err = ErrCertificate, cert.Err
	}
	e.advice = advise(host, err)
	return e
}

// advise knows the next step for what commonly goes wrong on the way to a registry.
func advise(host string, err error) string {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var proxy *ProxyError
	if host == dockerHubHost {
		host = dockerHub
	}
	switch {
	case errors.As(err, &proxy):
		return proxy.Hint()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the registry running, and is its port right?"
	case errors.As(err, &dns):
		return "check the registry's name and the network"
	case errors.As(err, &cert):
		return adviseTrust(host, cert.Err)
	case isAlert(err):
		return fmt.Sprintf("if the registry wants a certificate of its clients, put it into ~/.config/containers/certs.d/%s, as client.cert and client.key", host)
	case isHTTP(err):
		return "the registry may speak plain http only; use --insecure where that is acceptable"
	case errors.Is(err, ErrForbiddenAddress) && strings.Contains(err.Error(), ": http to "):
		return "that is for the registry's administrator to mend; --insecure allows plain http, where that is acceptable"
	case errors.Is(err, ErrForbiddenAddress):
		return "that is for the registry's administrator to mend; going there could give a password or an inner service away"
	}
	return ""
}

// adviseTrust tells what to do about a certificate.
func adviseTrust(host string, err error) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "the certificate is for other names; use one of them for the registry, or --insecure where that is acceptable"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "check this machine's clock; if it is right the registry needs a new certificate. --insecure goes on, where that is acceptable"
	}
	return fmt.Sprintf("if it should be, put its authority's certificate into ~/.config/containers/certs.d/%s/ca.crt (or /etc/containers/certs.d, for everybody); --insecure goes on without, where that is acceptable", host)
}

// isHTTP reports whether https was answered with http.
func isHTTP(err error) bool {
	var notTLS tls.RecordHeaderError
	return errors.As(err, &notTLS) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// isAlert reports whether the other side has broken off TLS.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" // crypto/tls has no type for it that could be named
}

// plain takes the wrapping off that repeats method and URL.
func plain(err error) error {
	var proxy *ProxyError
	if errors.As(err, &proxy) {
		return proxy
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return syscall.ECONNREFUSED
	}
	if errors.Is(err, errStalled) {
		return errStalled
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// statusError is the HostError of an HTTP status that means failure; said is what the registry says of it. Some say that
// there are too many requests under another status.
func statusError(host string, status int, said transport.Diagnostic) *HostError {
	e := &HostError{Host: host, Kind: ErrUnreachable, Status: status}
	switch code := string(said.Code); {
	case code != "" && said.Message != "":
		e.Err = errors.New(clip(code + ": " + said.Message))
	case code+said.Message != "":
		e.Err = errors.New(clip(code + said.Message))
	}
	switch {
	case status == http.StatusTooManyRequests || said.Code == transport.TooManyRequestsErrorCode:
		e.Kind = ErrRateLimited
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind = ErrUnauthorized
		e.advice = "check the name; if the repository is private, log in with 'coracle login'"
	case status == http.StatusNotFound:
		e.Kind = ErrNotFound
		e.advice = "check the name and the tag"
	case status < http.StatusInternalServerError && status != http.StatusRequestTimeout:
		e.Kind = ErrNotRegistry
	}
	return e
}

// blame adds to an access that was denied whose credentials were used, or that there were none.
func (s *session) blame(err error) error {
	var host *HostError
	if !errors.As(err, &host) || !errors.Is(host.Kind, ErrUnauthorized) || host.detail != "" {
		return err
	}
	login := "coracle login"
	if s.end.host != dockerHub {
		login += " " + s.end.host
	}
	switch cred, asked := s.access.known(); {
	case !asked:
	case cred.IsEmpty() && cred.Without != "":
		host.detail = "without credentials: " + cred.Without
		host.advice = fmt.Sprintf("check the name; if the repository is private, install that helper, or take it out of that file and log in with '%s'", login)
	case cred.IsEmpty():
		host.detail = "without credentials"
		host.advice = fmt.Sprintf("check the name; if the repository is private, log in with '%s'", login)
	case cred.Username != "":
		host.detail = fmt.Sprintf("as %s, by %s", cred.Username, cred.Source)
		host.advice = fmt.Sprintf("check the name; if the password in %s is out of date, log in again with '%s'", cred.Source, login)
	default:
		host.detail = "with the token of " + cred.Source
		host.advice = fmt.Sprintf("check the name; if the token is out of date, log in again with '%s'", login)
	}
	return err
}

// answerError reads the error out of an answer and closes it.
func answerError(resp *http.Response) *HostError {
	said, err := readSaid(resp.Body)
	_ = resp.Body.Close()
	e := statusError(resp.Request.URL.Host, resp.StatusCode, said)
	if err != nil {
		e.Err = plain(err)
	}
	asked := askedToWait(resp.Header.Get("Retry-After"), time.Now())
	e.wait = min(asked, maxWait)
	if errors.Is(e.Kind, ErrRateLimited) {
		e.limited(resp.Header, asked)
	}
	return e
}

// readSaid reads the first error of a registry's answer (distribution-spec, error codes), or what a token service says, which
// is of the same form or OAuth 2's (RFC 6749, 5.2). Whatever else stands there is not shown, so transport.CheckError is not
// used: its errors hold the whole answer where there is no code in it.
func readSaid(body io.Reader) (said transport.Diagnostic, err error) {
	const most = 64 << 10
	raw, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return said, err
	}
	var answer struct {
		Errors  []transport.Diagnostic
		Details string
		Error   string `json:"error"`
		More    string `json:"error_description"`
	}
	if json.Unmarshal(raw, &answer) != nil {
		answer.Errors = nil // a web page, say, or half of an answer
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0], nil
	}
	said = transport.Diagnostic{Code: transport.ErrorCode(answer.Error), Message: answer.More}
	if said.Message == "" {
		said.Message = answer.Details
	}
	return said, nil
}

// maxWait bounds what is waited when a host asks to.
const maxWait = time.Minute

// askedToWait reads Retry-After: seconds or a date. What makes no sense is 0.
func askedToWait(value string, now time.Time) time.Duration {
	const most = 365 * 24 * time.Hour
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(most/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), most)
	}
	return 0
}

// passing reports whether a failure may pass by itself. Before the first contact a refused connection, an unknown name or
// an untrusted certificate will not.
func passing(err error, contact bool) bool {
	var host *HostError
	if errors.As(err, &host) && host.Status != 0 {
		if errors.Is(host.Kind, ErrRateLimited) {
			return !host.final
		}
		switch host.Status {
		case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, ErrForbiddenAddress), errors.Is(err, ErrNotRegistry), errors.Is(err, ErrDigest), errors.Is(err, ErrCertificate), isAlert(err):
		return false
	case errors.Is(err, errStalled):
		return true
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dns) && !dns.IsTemporary:
		return contact
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || contact && errors.Is(err, ErrUnreachable)
}

// again calls f until it works, or fails for good, or has failed too often in a row.
func (c *Client) again(ctx context.Context, what string, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		if err == nil || ctx.Err() != nil || try >= maxRetries || !passing(err, false) {
			return err
		}
		c.opts.Note(fmt.Sprintf("%s: %v; trying again", what, err))
		if err := c.sleep(ctx, try, err); err != nil {
			return err
		}
	}
}

// sleep waits before attempt try+1, longer each time, or as long as the host asked for.
func (c *Client) sleep(ctx context.Context, try int, cause error) error {
	pause := min(c.opts.Pause<<min(try, 16), maxPause)
	var host *HostError
	if errors.As(cause, &host) {
		pause = max(pause, host.wait)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}
