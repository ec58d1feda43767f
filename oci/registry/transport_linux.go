package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	dialTimeout = 15 * time.Second
	maxHeaders  = 256 << 10
	maxIdle     = 24
)

// newTransport is the way to the network for one registry. Blobs go over HTTP/1.1: one connection each, where Go's HTTP/2
// would put them all on one.
func newTransport(e endpoint) (http.RoundTripper, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.insecure} //nolint:gosec // asked for by --insecure or registries.conf
	if err := addCerts(conf, certDirs(os.Getenv, os.Getuid(), "/", e.host)); err != nil {
		return nil, err
	}
	d := &dialer{registry: hostOnly(e.address()), proxies: map[string]bool{}, choose: http.ProxyFromEnvironment}
	w := &way{dialer: d, own: e.address(), scheme: "https", toOwn: transportWith(d, conf)}
	w.toOthers = w.toOwn
	if len(conf.Certificates) > 0 {
		others := conf.Clone()
		others.Certificates = nil
		w.toOthers = transportWith(d, others)
	}
	return w, nil
}

func transportWith(d *dialer, conf *tls.Config) *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  d.proxy,
		OnProxyConnectResponse: onProxyAnswer,
		DialContext:            d.dial,
		Protocols:              protocols,
		TLSHandshakeTimeout:    dialTimeout,
		TLSClientConfig:        conf,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // digests are of the bytes as they are
	}
}

// way is the network for one registry. A client's certificate is for the registry itself, not for where it leads to.
type way struct {
	dialer          *dialer
	own, scheme     string
	toOwn, toOthers http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w *way) RoundTrip(req *http.Request) (*http.Response, error) {
	next := w.toOthers
	if sameHost(req.URL, w.scheme, w.own) {
		next = w.toOwn
	}
	resp, err := next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusProxyAuthRequired {
		return resp, err
	}
	proxy, err := w.dialer.proxy(req) // of plain http; for https see onProxyAnswer
	if proxy == nil || err != nil {
		return resp, err
	}
	discard(resp)
	return nil, &ProxyError{Proxy: "the proxy " + proxy.Host, Err: errProxyAuth}
}

// guard refuses plain http to any host but those it is allowed for, and addresses that a registry leads to.
type guard struct {
	registry string
	insecure bool
	next     http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	err := g.check(req.URL)
	if err == nil {
		return g.next.RoundTrip(req)
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, err
}

// check looks at what a URL says. What a name means the dialer sees; behind a proxy only the proxy does.
func (g *guard) check(u *url.URL) error {
	switch u.Scheme {
	case "https":
	case "http":
		if !g.insecure && (!isLoopback(g.registry) || !isLoopback(u.Host)) {
			return fmt.Errorf("%w: http to %s", ErrForbiddenAddress, u.Host)
		}
	default:
		return fmt.Errorf("%w: %s to %s", ErrForbiddenAddress, clip(u.Scheme), u.Host)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && u.Hostname() != hostOnly(g.registry) {
		return checkAddress(u.Hostname(), netip.AddrPortFrom(ip, 0).String(), isLoopback(g.registry))
	}
	return nil
}

// dialer connects, and looks at the address a name resolved to: a registry can redirect to a name of its own that means
// this machine or the cloud's metadata service. The registry itself and the user's proxies were named by the user and may
// be anywhere.
type dialer struct {
	registry string
	choose   func(*http.Request) (*url.URL, error)

	mu      sync.Mutex
	proxies map[string]bool
}

// proxy is the proxy of the environment for a request, or nil. This machine is reached without.
func (d *dialer) proxy(req *http.Request) (*url.URL, error) {
	if isLoopback(req.URL.Host) {
		return nil, nil //nolint:nilnil // as http.Transport wants it
	}
	u, err := d.choose(req)
	if err != nil {
		return nil, &ProxyError{Proxy: "the proxy of the environment", Err: errors.New("its address makes no sense")} // it may hold a password
	}
	if u != nil {
		d.mu.Lock()
		d.proxies[withPort(u)] = true
		d.mu.Unlock()
	}
	return u, nil
}

// withPort is what is dialled for a proxy.
func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host := hostOnly(addr)
	d.mu.Lock()
	proxy := d.proxies[addr]
	d.mu.Unlock()
	nd := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if host != d.registry && !proxy {
		nd.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(host, address, isLoopback(d.registry))
		}
	}
	conn, err := nd.DialContext(ctx, network, addr)
	if err != nil && proxy {
		return nil, &ProxyError{Proxy: "the proxy " + addr, Err: err}
	}
	return conn, err
}

// onProxyAnswer is told what a proxy says to CONNECT.
func onProxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	err := &ProxyError{Proxy: "the proxy " + proxy.Host, Err: fmt.Errorf("status %d", resp.StatusCode)}
	if resp.StatusCode == http.StatusProxyAuthRequired {
		err.Err = errProxyAuth
	}
	return err
}

var errProxyAuth = errors.New("it wants (another) user and password")

// ProxyError is a proxy that fails, by its name without what may be secret of its address.
type ProxyError struct {
	Proxy string
	Err   error
}

// Error implements error.
func (e *ProxyError) Error() string { return e.Proxy + ": " + plain(e.Err).Error() }

// Unwrap gives the cause.
func (e *ProxyError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *ProxyError) Hint() string {
	if errors.Is(e.Err, errProxyAuth) {
		return "set them in the variable: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
	}
	return "check HTTPS_PROXY and HTTP_PROXY; NO_PROXY lists the hosts to reach without"
}

// checkAddress refuses addresses that a registry has no business to send anybody to.
func checkAddress(host, address string, local bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is at %s", ErrForbiddenAddress, host, address)
	}
	ip := ap.Addr().Unmap().WithZone("")
	metadata := netip.MustParseAddr("fd00:ec2::254") // the one metadata service that is not link-local
	switch {
	case ip.IsLoopback() && local:
		return nil
	case ip.IsLoopback(), ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified(), ip == metadata:
		return fmt.Errorf("%w: %s is at %s", ErrForbiddenAddress, host, ip)
	}
	return nil
}

// hostOnly takes the port, and the brackets of an IPv6 address, off.
func hostOnly(hostport string) string {
	u := url.URL{Host: hostport}
	return u.Hostname()
}
