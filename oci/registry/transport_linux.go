package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
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
func newTransport(registry string, insecure bool) http.RoundTripper {
	d := &dialer{registry: hostOnly(registry), proxies: map[string]bool{}}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  d.proxy,
		DialContext:            d.dial,
		Protocols:              protocols,
		TLSHandshakeTimeout:    dialTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}, //nolint:gosec // asked for by --insecure
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // digests are of the bytes as they are
	}
}

// guard refuses plain http to any host but those it is allowed for.
type guard struct {
	registry string
	insecure bool
	next     http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.URL.Scheme {
	case "https":
		return g.next.RoundTrip(req)
	case "http":
		if g.insecure || isLoopback(g.registry) && isLoopback(req.URL.Host) {
			return g.next.RoundTrip(req)
		}
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, fmt.Errorf("%w: %s to %s", ErrForbiddenAddress, req.URL.Scheme, req.URL.Host)
}

// dialer connects, and looks at the address a name resolved to: a registry can redirect to a name of its own that means
// this machine or the cloud's metadata service. The registry itself and the user's proxies were named by the user and may
// be anywhere.
type dialer struct {
	registry string

	mu      sync.Mutex
	proxies map[string]bool
}

func (d *dialer) proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if u != nil {
		d.mu.Lock()
		d.proxies[u.Hostname()] = true
		d.mu.Unlock()
	}
	return u, err
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host := hostOnly(addr)
	d.mu.Lock()
	trusted := host == d.registry || d.proxies[host]
	d.mu.Unlock()
	nd := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if !trusted {
		nd.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(host, address, isLoopback(d.registry))
		}
	}
	return nd.DialContext(ctx, network, addr)
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
