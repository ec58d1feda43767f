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
	Kind   error // ErrUnreachable, ErrUnauthorized, ErrNotFound, ErrRateLimited, ErrNotRegistry or ErrForbiddenAddress
	Status int   // the HTTP status, 0 if there was no answer
	Err    error // may be nil

	advice string
	wait   time.Duration // what the host asks to wait
}

// Error implements error.
func (e *HostError) Error() string {
	text := fmt.Sprintf("%s: %v", e.Host, e.Kind)
	if e.Status != 0 {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Err != nil {
		text += ": " + clip(e.Err.Error())
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

// clip keeps a stranger's text to a line's length or three.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// explain turns what the HTTP client and go-containerregistry say into a HostError. Errors of a context stay as they are.
func explain(host string, err error) error {
	var known *HostError
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) && !errors.Is(err, errStalled) || errors.Is(err, ErrDigest) {
		return err
	}
	var status *transport.Error
	if errors.As(err, &status) {
		if status.Request != nil && status.Request.URL.Host != "" {
			host = status.Request.URL.Host
		}
		return statusError(host, status.StatusCode, status)
	}
	e := &HostError{Host: host, Kind: ErrUnreachable, Err: plain(err)}
	for _, kind := range []error{ErrForbiddenAddress, ErrNotRegistry} {
		if errors.Is(err, kind) {
			e.Kind = kind
		}
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		e.Kind = ErrNotRegistry
	}
	e.advice = advise(err)
	return e
}

// advise knows the next step for what commonly goes wrong on the way to a registry.
func advise(err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var cert *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the registry running, and is its port right?"
	case errors.As(err, &dns):
		return "check the registry's name and the network"
	case errors.As(err, &unknown), errors.As(err, &cert):
		return "the registry's certificate is not trusted here; install its authority, or use --insecure where that is acceptable"
	case errors.As(err, &notTLS), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"), errors.Is(err, ErrForbiddenAddress):
		return "the registry may speak plain http only; use --insecure where that is acceptable"
	}
	return ""
}

// plain takes the wrapping off that repeats method and URL.
func plain(err error) error {
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

// statusError is the HostError of an HTTP status that means failure.
func statusError(host string, status int, answer *transport.Error) *HostError {
	e := &HostError{Host: host, Kind: ErrUnreachable, Status: status}
	if answer != nil && len(answer.Errors) > 0 {
		e.Err = errors.New(clip(strings.TrimSpace(strings.TrimSuffix(string(answer.Errors[0].Code)+": "+answer.Errors[0].Message, ": "))))
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind = ErrUnauthorized
		e.advice = "check the name; if the repository is private, log in (docker login writes the credentials Coracle reads)"
	case status == http.StatusNotFound:
		e.Kind = ErrNotFound
		e.advice = "check the name and the tag"
	case status == http.StatusTooManyRequests:
		e.Kind = ErrRateLimited
		e.advice = "wait, or log in: registries allow more to those they know"
	case status < http.StatusInternalServerError && status != http.StatusRequestTimeout:
		e.Kind = ErrNotRegistry
	}
	return e
}

// answerError reads the error out of an answer and closes it.
func answerError(resp *http.Response) error {
	err := transport.CheckError(resp)
	_ = resp.Body.Close()
	var answer *transport.Error
	errors.As(err, &answer)
	e := statusError(resp.Request.URL.Host, resp.StatusCode, answer)
	e.wait = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return e
}

// retryAfter reads the header of that name, seconds or a date, within the bounds of what anybody would wait for.
func retryAfter(value string, now time.Time) time.Duration {
	const most = time.Minute
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
		switch host.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrForbiddenAddress), errors.Is(err, ErrNotRegistry), errors.Is(err, ErrDigest), errors.As(err, &cert):
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
