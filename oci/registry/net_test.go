package registry

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A maker signs certificates.
type maker struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newMaker(t *testing.T) *maker {
	t.Helper()
	m := &maker{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, m.key.Public(), m.key)
	if err != nil {
		t.Fatal(err)
	}
	if m.cert, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return m
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair is a certificate and its key, in PEM.
func (m *maker) pair(t *testing.T, until time.Time, names ...string) (cert, key []byte) {
	t.Helper()
	k := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, m.cert, k.Public(), m.key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func (m *maker) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw})
}

// secure serves h over TLS on loopback.
func (m *maker) secure(t *testing.T, h http.Handler, until time.Time, change func(*tls.Config), names ...string) *httptest.Server {
	t.Helper()
	cert, key := m.pair(t, until, names...)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.Config.ErrorLog = nil
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func later() time.Time { return time.Now().Add(time.Hour) }

// certsDir is the user's certs.d for a host.
func certsDir(t *testing.T, host string, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(os.Getenv("HOME"), ".config/containers/certs.d", host)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func withImage() *contents {
	c := newContents()
	c.tags["1"] = c.image("amd64", "").Digest
	return c
}

func quick() *Client { return NewClient(Options{Pause: time.Millisecond, Stall: 5 * time.Second}) }

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func TestAuthorityOfCertsD(t *testing.T) {
	newWorld(t)
	m := newMaker(t)
	s := m.secure(t, withImage(), later(), nil, "127.0.0.1", "localhost")
	addr := s.Listener.Addr().String()
	err := pulled(t, quick(), addr+"/a:1")
	if !errors.Is(err, ErrCertificate) || !strings.Contains(err.Error(), "not trusted") || !strings.Contains(hintOf(err), "certs.d/"+addr+"/ca.crt") || !strings.Contains(hintOf(err), "--insecure") {
		t.Errorf("an unknown authority: %v; %s", err, hintOf(err))
	}
	if err := pulled(t, NewClient(Options{Insecure: true}), addr+"/a:1"); err != nil {
		t.Errorf("--insecure: %v", err)
	}
	certsDir(t, addr, map[string][]byte{"ca.crt": m.pem(), "readme.txt": []byte("not read")})
	if err := pulled(t, quick(), addr+"/a:1"); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	_, port, _ := net.SplitHostPort(addr) // of that name only
	if err := pulled(t, quick(), "localhost:"+port+"/a:1"); !errors.Is(err, ErrCertificate) {
		t.Errorf("by another name: %v", err)
	}
}

func TestOtherCertificateErrors(t *testing.T) {
	newWorld(t)
	m := newMaker(t)
	for name, tc := range map[string]struct {
		until time.Time
		names string
		want  string
	}{
		"another name": {later(), "other.example", "for other names"},
		"expired":      {time.Now().Add(-time.Hour), "127.0.0.1", "clock"},
	} {
		s := m.secure(t, withImage(), tc.until, nil, tc.names)
		addr := s.Listener.Addr().String()
		certsDir(t, addr, map[string][]byte{"ca.crt": m.pem()})
		if err := pulled(t, quick(), addr+"/a:1"); !errors.Is(err, ErrCertificate) || !strings.Contains(hintOf(err), tc.want) {
			t.Errorf("%s: %v; %s", name, err, hintOf(err))
		}
	}
}

// A client's certificate is shown to the registry it is for, and to nobody a redirect leads to.
func TestClientCertificate(t *testing.T) {
	newWorld(t)
	m, c := newMaker(t), withImage()
	shown := ""
	cdn := m.secure(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, cert := range r.TLS.PeerCertificates {
			shown += cert.Subject.CommonName
		}
		c.ServeHTTP(rw, r)
	}), later(), func(conf *tls.Config) { conf.ClientAuth = tls.RequestClientCert }, "127.0.0.1")
	demand := func(conf *tls.Config) {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		conf.ClientCAs.AddCert(m.cert)
	}
	s := m.secure(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(rw, r, cdn.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		c.ServeHTTP(rw, r)
	}), later(), demand, "127.0.0.1")
	addr := s.Listener.Addr().String()
	certsDir(t, addr, map[string][]byte{"ca.crt": m.pem()})
	if err := pulled(t, quick(), addr+"/a:1"); !errors.Is(err, ErrUnreachable) || !strings.Contains(hintOf(err), "client.cert") {
		t.Errorf("without: %v; %s", err, hintOf(err))
	}
	cert, key := m.pair(t, later(), "me")
	certsDir(t, addr, map[string][]byte{"client.cert": cert, "client.key": key})
	if err := pulled(t, quick(), addr+"/a:1"); err != nil {
		t.Errorf("with: %v", err)
	}
	if shown != "" {
		t.Errorf("%q was shown to where a redirect leads", shown)
	}
}

func TestBadFilesOfCertsD(t *testing.T) {
	newWorld(t)
	m := newMaker(t)
	cert, key := m.pair(t, later(), "me")
	_, other := m.pair(t, later(), "me")
	s := m.secure(t, withImage(), later(), nil, "127.0.0.1")
	for name, files := range map[string]map[string][]byte{
		"no certificate":    {"ca.crt": []byte("nothing")},
		"empty":             {"ca.crt": nil},
		"half: no key":      {"client.cert": cert},
		"half: no cert":     {"client.key": key},
		"not a pair":        {"client.cert": cert, "client.key": other},
		"key is no key":     {"client.cert": cert, "client.key": []byte("nothing")},
		"one of two is bad": {"a.crt": m.pem(), "b.crt": []byte("x")},
	} {
		addr := s.Listener.Addr().String()
		dir := certsDir(t, addr, files)
		err := pulled(t, quick(), addr+"/a:1")
		var bad *CertError
		if !errors.As(err, &bad) || !strings.HasPrefix(bad.File, dir) || hintOf(err) == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnreadableCertificate(t *testing.T) {
	newWorld(t)
	m := newMaker(t)
	s := m.secure(t, withImage(), later(), nil, "127.0.0.1")
	dir := certsDir(t, s.Listener.Addr().String(), map[string][]byte{"ca.crt": m.pem()})
	if err := os.Chmod(filepath.Join(dir, "ca.crt"), 0); err != nil {
		t.Fatal(err)
	}
	var bad *CertError
	if err := pulled(t, quick(), s.Listener.Addr().String()+"/a:1"); !errors.As(err, &bad) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v", err)
	}
}

func TestWhereCertificatesAre(t *testing.T) {
	env := map[string]string{"HOME": "/home/me"}
	get := func(k string) string { return env[k] }
	want := "/home/me/.config/containers/certs.d/r:1 /etc/containers/certs.rootless.d/7/r:1 /etc/containers/certs.rootless.d/r:1 /etc/containers/certs.d/r:1 " +
		"/usr/share/containers/certs.rootless.d/7/r:1 /usr/share/containers/certs.rootless.d/r:1 /usr/share/containers/certs.d/r:1 /etc/docker/certs.d/r:1 " +
		"/home/me/.config/docker/certs.d/r:1 /home/me/.docker/certs.d/r:1"
	if got := strings.Join(certDirs(get, 7, "/", "r:1"), " "); got != want {
		t.Errorf("%s", got)
	}
	if got := strings.Join(certDirs(func(string) string { return "" }, 0, "/x", "r"), " "); strings.Contains(got, "rootless") || !strings.Contains(got, "/x/etc/containers/certs.rootful.d/r") {
		t.Errorf("root: %s", got)
	}
	root := t.TempDir()
	second := filepath.Join(root, "b")
	if err := os.Mkdir(second, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(second, "ca.crt"), newMaker(t).pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{}
	if err := addCerts(conf, []string{filepath.Join(root, "a"), second}); err != nil || conf.RootCAs == nil {
		t.Errorf("%v", err)
	}
}

// A middleman is a proxy for http and https, which may want a password.
type middleman struct {
	user, password string
	fail           int // this status, when not 0
	lead           string

	mu   sync.Mutex
	seen []string // METHOD host
	auth int      // requests with credentials
}

func (p *middleman) serve(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s
}

func (p *middleman) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.Host)
	given := r.Header.Get("Proxy-Authorization")
	if given != "" {
		p.auth++
	}
	p.mu.Unlock()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.user+":"+p.password))
	switch {
	case p.fail != 0:
		rw.WriteHeader(p.fail)
	case p.user != "" && given != want:
		rw.Header().Set("Proxy-Authenticate", `Basic realm="p"`)
		rw.WriteHeader(http.StatusProxyAuthRequired)
	case r.Method == http.MethodConnect:
		p.tunnel(rw)
	default:
		out := r.Clone(r.Context())
		out.RequestURI = ""
		out.URL.Host = p.lead
		out.Header.Del("Proxy-Authorization")
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			rw.Header()[k] = v
		}
		rw.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(rw, resp.Body)
	}
}

// tunnel leads every CONNECT to the same server.
func (p *middleman) tunnel(rw http.ResponseWriter) {
	there, err := net.Dial("tcp", p.lead)
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(there, here)
		_ = there.Close()
	}()
	go func() {
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}()
}

// through is a client whose proxy is that one.
func through(t *testing.T, proxy string, e endpoint) http.RoundTripper {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	rt, err := newTransport(e)
	if err != nil {
		t.Fatal(err)
	}
	w, ok := rt.(*way)
	if !ok {
		t.Fatal("another transport")
	}
	w.dialer.choose = http.ProxyURL(u)
	return w
}

func TestProxies(t *testing.T) {
	newWorld(t)
	m := newMaker(t)
	tlsServer := m.secure(t, withImage(), later(), nil, host)
	plainServer := httptest.NewServer(withImage())
	t.Cleanup(plainServer.Close)
	certsDir(t, host, map[string][]byte{"ca.crt": m.pem()})
	dead := httptest.NewServer(nil)
	dead.Close()
	for name, tc := range map[string]struct {
		proxy    *middleman
		user     string
		insecure bool
		ok       bool
		want     string
	}{
		"https":                    {ok: true},
		"http":                     {insecure: true, ok: true},
		"https, password":          {proxy: &middleman{user: "me", password: secret}, user: "me:" + secret + "@", ok: true},
		"http, password":           {proxy: &middleman{user: "me", password: secret}, user: "me:" + secret + "@", insecure: true, ok: true},
		"https, wrong password":    {proxy: &middleman{user: "me", password: "right"}, user: "me:" + secret + "@", want: "wants (another) user and password"},
		"http, wrong password":     {proxy: &middleman{user: "me", password: "right"}, user: "me:" + secret + "@", insecure: true, want: "wants (another) user and password"},
		"https, password missing":  {proxy: &middleman{user: "me", password: "right"}, want: "wants (another) user and password"},
		"https, the proxy refuses": {proxy: &middleman{fail: http.StatusForbidden}, user: "me:" + secret + "@", want: "status 403"},
		"https, bad gateway":       {proxy: &middleman{fail: http.StatusBadGateway}, want: "status 502"},
	} {
		p := tc.proxy
		if p == nil {
			p = &middleman{}
		}
		p.lead = tlsServer.Listener.Addr().String()
		if tc.insecure {
			p.lead = plainServer.Listener.Addr().String()
		}
		s := p.serve(t)
		addr := s.Listener.Addr().String()
		e := endpoint{host: host, path: "a", insecure: tc.insecure}
		c := NewClient(Options{Transport: through(t, "http://"+tc.user+addr, e), Insecure: tc.insecure, Pause: time.Millisecond, Stall: 5 * time.Second})
		err := pulled(t, c, host+"/a:1")
		if tc.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if !tc.ok {
			var proxy *ProxyError
			if !errors.As(err, &proxy) || !strings.Contains(err.Error(), "the proxy "+addr) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(hintOf(err), "HTTPS_PROXY") {
				t.Errorf("%s: %v; %s", name, err, hintOf(err))
			}
		}
		if err != nil && strings.Contains(err.Error()+hintOf(err), secret) {
			t.Errorf("%s: the password is in %v", name, err)
		}
		if len(p.seen) == 0 || tc.user != "" && p.auth == 0 {
			t.Errorf("%s: the proxy saw %v, %d with credentials", name, p.seen, p.auth)
		}
	}
	addr := dead.Listener.Addr().String()
	c := NewClient(Options{Transport: through(t, "http://me:"+secret+"@"+addr, endpoint{host: host}), Pause: time.Millisecond})
	if err := pulled(t, c, host+"/a:1"); err == nil || !strings.Contains(err.Error(), "the proxy "+addr+": connection refused") || strings.Contains(err.Error(), secret) {
		t.Errorf("a proxy that is down: %v", err)
	}
}

// This machine is reached without a proxy, whatever the environment says.
func TestLoopbackIsNotProxied(t *testing.T) {
	newWorld(t)
	s := httptest.NewServer(withImage())
	t.Cleanup(s.Close)
	p := &middleman{fail: http.StatusForbidden}
	addr := s.Listener.Addr().String()
	c := NewClient(Options{Transport: through(t, p.serve(t).URL, endpoint{host: addr})})
	if err := pulled(t, c, addr+"/a:1"); err != nil || len(p.seen) != 0 {
		t.Errorf("%v, and the proxy saw %v", err, p.seen)
	}
}

// An address that a registry leads to is looked at before a proxy is asked for it.
func TestProxyIsNotAskedForForbiddenAddresses(t *testing.T) {
	newWorld(t)
	m := newMaker(t)
	c := withImage()
	p := &middleman{}
	for _, to := range []string{"https://169.254.169.254", "https://[fe80::1]", "https://[fd00:ec2::254]", "https://0.0.0.0", "https://127.0.0.1:1", "https://localhost:1"} {
		s := m.secure(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(rw, r, to+r.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			c.ServeHTTP(rw, r)
		}), later(), nil, host)
		certsDir(t, host, map[string][]byte{"ca.crt": m.pem()})
		p.lead, p.seen = s.Listener.Addr().String(), nil
		client := NewClient(Options{Transport: through(t, p.serve(t).URL, endpoint{host: host}), Pause: time.Millisecond})
		if err := pulled(t, client, host+"/a:1"); !errors.Is(err, ErrForbiddenAddress) {
			t.Errorf("%s: %v", to, err)
		}
		for _, line := range p.seen {
			if line != "CONNECT "+host+":443" {
				t.Errorf("%s: the proxy was asked for %s", to, line)
			}
		}
	}
}

// What cannot be asked over http stays unasked: https that fails for a reason of TLS is no reason to speak http.
func TestNoDowngradeOfATLSRegistry(t *testing.T) {
	newWorld(t)
	m := newMaker(t)
	plain := 0
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, key := m.pair(t, later(), "other.example")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				if first, err := r.Peek(1); err != nil || first[0] != 22 { // a TLS handshake
					mu.Lock()
					plain++
					mu.Unlock()
					return
				}
				_ = tls.Server(&peeked{conn, r}, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	if err := pulled(t, quick(), l.Addr().String()+"/a:1"); !errors.Is(err, ErrCertificate) {
		t.Errorf("%v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if plain != 0 {
		t.Errorf("%d connections without TLS", plain)
	}
}

type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// A registry that never ends its headers, or sends too many, or drips.
func TestHeadersWithoutEnd(t *testing.T) {
	newWorld(t)
	for name, write := range map[string]func(w io.Writer) error{
		"long": func(w io.Writer) error {
			_, err := io.WriteString(w, "X-A: "+strings.Repeat("a", 4000)+"\r\n")
			return err
		},
		"one line":     func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat("a", 4000)); return err },
		"continuation": func(w io.Writer) error { _, err := io.WriteString(w, "HTTP/1.1 103 Early Hints\r\n\r\n"); return err },
		"dripping": func(w io.Writer) error {
			time.Sleep(5 * time.Millisecond)
			_, err := io.WriteString(w, "X-A: a\r\n")
			return err
		},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					if name != "continuation" {
						_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
					}
					for write(conn) == nil {
					}
				}()
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		c := NewClient(Options{Pause: time.Millisecond, Stall: 200 * time.Millisecond})
		if _, err := c.Digest(ctx, parse(t, l.Addr().String()+"/a:1")); err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v, %v", name, err, ctx.Err())
		}
		cancel()
		_ = l.Close()
	}
}

// One byte now and then is no progress; what is slow but above the least rate is. The time is the test's own.
func TestDrips(t *testing.T) {
	const stall = 300 * time.Millisecond // in which 307 bytes are to come
	for name, tc := range map[string]struct {
		every time.Duration
		bytes int
		ok    bool
	}{
		"a byte each 10 ms":      {10 * time.Millisecond, 1, false},
		"a little under it":      {20 * time.Millisecond, 20, false},
		"a little above it":      {20 * time.Millisecond, 21, true},
		"in bursts above it":     {200 * time.Millisecond, 600, true},
		"silent for too long":    {stall + time.Millisecond, 6000, false},
		"fast, but in one piece": {0, 1 << 20, true},
	} {
		w, c := newWorld(t), newContents()
		blob := c.add("application/octet-stream", []byte(strings.Repeat("x", min(tc.bytes*100, 2<<20))))
		w.hosts[host] = c
		synctest.Test(t, func(t *testing.T) {
			client := NewClient(Options{Transport: &drips{w, tc.every, tc.bytes}, Pause: time.Millisecond, Stall: stall})
			start := time.Now()
			body, err := client.Open(t.Context(), parse(t, host+"/a:1"), blob, 0, blob.Size)
			if err == nil {
				_, err = io.Copy(io.Discard, body)
				_ = body.Close()
			}
			if tc.ok != (err == nil) || !tc.ok && (!errors.Is(err, errStalled) || time.Since(start) > 2*stall) {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
		})
	}
}

// drips brings the content of blobs a few bytes at a time.
type drips struct {
	*world

	every time.Duration
	bytes int
}

// RoundTrip implements http.RoundTripper.
func (d *drips) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.world.RoundTrip(r)
	if err == nil && strings.Contains(r.URL.Path, "/blobs/") {
		resp.Body = &dripping{ReadCloser: resp.Body, drips: d, done: r.Context().Done()}
	}
	return resp, err
}

type dripping struct {
	io.ReadCloser

	drips *drips
	done  <-chan struct{}
}

// Read implements io.Reader.
func (d *dripping) Read(p []byte) (int, error) {
	select {
	case <-time.After(d.drips.every):
		return d.ReadCloser.Read(p[:min(len(p), d.drips.bytes)])
	case <-d.done:
		return 0, context.Canceled
	}
}

// The proxy variables are Go's, which reads them once: each case is a process of its own.
func TestProxyVariables(t *testing.T) {
	const ask = "CORACLE_TEST_PROXY_OF"
	if target := os.Getenv(ask); target != "" {
		rt, err := newTransport(endpoint{host: host})
		if err != nil {
			t.Fatal(err)
		}
		w, _ := rt.(*way)
		req, err := http.NewRequest(http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := w.dialer.proxy(req)
		fmt.Printf("proxy=%v err=%v\n", u, err)
		return
	}
	newWorld(t)
	const proxy = "http://me:" + secret + "@proxy.example:3128"
	for _, tc := range []struct {
		target string
		env    []string
		want   string
	}{
		{"https://r.example/", []string{"HTTPS_PROXY=" + proxy}, proxy},
		{"https://r.example/", []string{"https_proxy=" + proxy}, proxy},
		{"http://r.example/", []string{"HTTPS_PROXY=" + proxy}, "<nil>"},
		{"http://r.example/", []string{"HTTP_PROXY=" + proxy}, proxy},
		{"http://r.example/", []string{"http_proxy=proxy.example:3128"}, "http://proxy.example:3128"},
		{"https://r.example/", []string{"HTTPS_PROXY=" + proxy, "NO_PROXY=r.example"}, "<nil>"},
		{"https://sub.r.example/", []string{"HTTPS_PROXY=" + proxy, "no_proxy=.r.example"}, "<nil>"},
		{"https://r.example:5000/", []string{"HTTPS_PROXY=" + proxy, "NO_PROXY=r.example:5001"}, proxy},
		{"https://10.1.2.3/", []string{"HTTPS_PROXY=" + proxy, "NO_PROXY=other, 10.0.0.0/8"}, "<nil>"},
		{"https://11.1.2.3/", []string{"HTTPS_PROXY=" + proxy, "NO_PROXY=10.0.0.0/8"}, proxy},
		{"https://r.example/", []string{"HTTPS_PROXY=" + proxy, "NO_PROXY=*"}, "<nil>"},
		{"https://localhost:5000/", []string{"HTTPS_PROXY=" + proxy}, "<nil>"},
		{"https://a.localhost/", []string{"HTTPS_PROXY=" + proxy}, "<nil>"},
		{"http://127.9.9.9/", []string{"HTTP_PROXY=" + proxy}, "<nil>"},
		{"http://[::1]:5000/", []string{"HTTP_PROXY=" + proxy}, "<nil>"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestProxyVariables$")
		for _, v := range os.Environ() {
			if name, _, _ := strings.Cut(strings.ToLower(v), "="); !strings.HasSuffix(name, "_proxy") {
				cmd.Env = append(cmd.Env, v)
			}
		}
		cmd.Env = append(append(cmd.Env, tc.env...), ask+"="+tc.target)
		out, err := cmd.CombinedOutput()
		if want := "proxy=" + tc.want; err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%s with %v: %s, %v; want %s", tc.target, tc.env, out, err, want)
		}
	}
}
