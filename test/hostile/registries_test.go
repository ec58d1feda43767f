package hostile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/hostile"
)

func TestRegistries(t *testing.T) {
	need.UserNS(t) // the island is one
	authority := newAuthority(t, "")
	for _, c := range hostile.Registries() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			testRegistry(t, authority, c)
		})
	}
}

func testRegistry(t *testing.T, a authority, c hostile.Registry) {
	t.Helper()
	b := newBox(t)
	trusted := a.file
	if c.TLS != "" {
		a = newAuthority(t, c.TLS)
	}
	if c.TLS != "unknown" {
		trusted = a.file
	}
	w := newNetwork(t, a, c)
	pull := b.command("pull", w.Registry+"/"+hostile.Name)
	pull.Env = append(pull.Env, "SSL_CERT_FILE="+trusted, "DOCKER_CONFIG="+w.login(b))
	asked := pull
	if c.Leave {
		// In the foreground: else it sends the signal twice, and a second Ctrl-C waits for nothing.
		asked.Argv = append([]string{"/usr/bin/timeout", "--foreground", "--preserve-status", "-s", "INT", "2"}, pull.Argv...)
	}
	got := asked.do(t)
	if testing.Verbose() {
		t.Logf("status %d, %v of %v, %d MiB, %d requests: %s", got.Code, got.CPU, got.Wall, got.Memory>>20, w.requests.Load(), lastError(got.stderr))
	}
	defer b.check()
	w.checkSecrets(t)
	if most := max(int64(c.Requests), 40); w.requests.Load() > most {
		t.Errorf("%d requests, at most %d are allowed", w.requests.Load(), most)
	}
	if c.Leave {
		b.wantStatus(got, 130, c.Budget)
		if got.Wall > 20*time.Second {
			t.Errorf("it took %v to leave", got.Wall)
		}
		return
	}
	if c.Outcome != hostile.Reject {
		b.wantStatus(got, 0, c.Budget)
		if !t.Failed() {
			b.wantTree(w.Image, honestTree)
		}
		return
	}
	b.wantStatus(got, 125, c.Budget)
	b.wantNothing(fixture.Image{})
	if c.Says == "" || !strings.Contains(lastError(got.stderr), c.Says) {
		t.Errorf("the message lacks %q: %s", c.Says, got.stderr)
	}
	if c.Lie == nil || c.TLS != "" || t.Failed() {
		return
	}
	// What a liar left behind must not stand in the way of the truth.
	w.honest.Store(true)
	b.wantStatus(pull.do(t), 0, hostile.Budget{})
	if !t.Failed() {
		b.wantTree(w.Image, honestTree)
	}
	w.checkSecrets(t)
}

var honestTree = hostile.Tree{"top": "file 0644 top", "noise": "file 0644 of 200000 bytes", "etc/passwd": "file 0644 root:x:0:0::/:/bin/sh\n"}

// network is the world of one attack, with what was said in it.
type network struct {
	hostile.World
	honest   atomic.Bool // the registry has stopped to lie
	requests atomic.Int64

	mu     sync.Mutex
	heard  []string // what the stranger and the plain server were told
	caught []string // connections to traps
}

func newNetwork(t *testing.T, a authority, c hostile.Registry) *network {
	t.Helper()
	w := &network{}
	w.Image = hostile.HonestImage()
	reg := fixture.Serve(t)
	if c.Push != nil {
		c.Push(reg)
	} else {
		reg.Push(hostile.Name, w.Image)
	}
	w.Stranger = a.serve(t, netip.AddrPortFrom(strangerAddr, 0), w.stranger(reg.Handler()))
	w.Plain = w.plain(t)
	w.traps(t)
	// The address of the registry is known to its lies only once it listens.
	var lie http.Handler
	var ready sync.WaitGroup
	ready.Add(1)
	w.Registry = a.serve(t, netip.AddrPortFrom(registryAddr, 0), func(rw http.ResponseWriter, req *http.Request) {
		w.requests.Add(1)
		ready.Wait()
		if w.honest.Load() || lie == nil {
			reg.Handler().ServeHTTP(rw, req)
			return
		}
		lie.ServeHTTP(rw, req)
	})
	_, port, err := net.SplitHostPort(w.Registry)
	mustDo(t, err)
	w.Registry = "registry.example:" + port
	if c.Lie != nil {
		lie = c.Lie(&w.World, reg.Handler())
	}
	ready.Done()
	return w
}

// stranger serves what the registry has, to anybody, asks for a password below /ask, and remembers what it is told.
func (w *network) stranger(honest http.Handler) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
		w.note(&w.heard, fmt.Sprintf("%s %s %v %q %v", req.Method, req.URL, req.Header, body, err))
		if strings.HasPrefix(req.URL.Path, "/ask") {
			rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		honest.ServeHTTP(rw, req)
	}
}

func (w *network) note(list *[]string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, text)
}

// plain listens on the registry's host without TLS, and remembers what it is told.
func (w *network) plain(t *testing.T) string {
	t.Helper()
	return listen(t, netip.AddrPortFrom(registryAddr, 0), func(conn net.Conn) {
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		said := make([]byte, 4096)
		n, err := conn.Read(said)
		w.note(&w.caught, fmt.Sprintf("plain http: %q %v", said[:n], err))
	})
}

// traps listens where nobody may be sent to.
func (w *network) traps(t *testing.T) {
	t.Helper()
	trap := func(addr string) string {
		return listen(t, netip.AddrPortFrom(netip.MustParseAddr(addr), 0), func(conn net.Conn) {
			w.note(&w.caught, "trap at "+conn.LocalAddr().String())
		})
	}
	tr := &w.Traps
	tr.Loopback, tr.Loopback6, tr.Metadata, tr.Metadata6 = trap("127.0.0.1"), trap("::1"), trap(metadataAddr.String()), trap(metadata6.String())
	tr.LoopbackOther = trap("127.99.0.1")
	at := func(host, like string) string {
		_, port, err := net.SplitHostPort(like)
		mustDo(t, err)
		return net.JoinHostPort(host, port)
	}
	tr.LoopbackName, tr.Loopback6Name = at("home.example", tr.Loopback), at("home6.example", tr.Loopback6)
	tr.MetadataName, tr.Metadata6Name = at("metadata.example", tr.Metadata), at("metadata6.example", tr.Metadata6)
	tr.Unspecified, tr.LoopbackMapped = at("0.0.0.0", tr.Loopback), at("::ffff:127.0.0.1", tr.Loopback)
}

// checkSecrets fails the test when a stranger was told a secret or a trap was touched.
func (w *network) checkSecrets(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.caught {
		t.Errorf("a connection that must not be: %s", text)
	}
	for _, text := range w.heard {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("a stranger was told a secret: %s", text)
			}
		}
	}
}

var secrets = []string{
	hostile.User, hostile.Password, hostile.Token, "Authorization",
	base64.StdEncoding.EncodeToString([]byte(hostile.User + ":" + hostile.Password)),
}

// login writes the password for the registry where docker keeps it.
func (w *network) login(b *box) string {
	b.t.Helper()
	secret := base64.StdEncoding.EncodeToString([]byte(hostile.User + ":" + hostile.Password))
	mustDo(b.t, os.Mkdir(b.path("docker"), 0o700))
	mustDo(b.t, os.WriteFile(b.path("docker", "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, w.Registry, secret), 0o600))
	return b.path("docker")
}

// listen accepts connections and ends with the test.
func listen(t *testing.T, addr netip.AddrPort, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", addr.String())
	mustDo(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			handle(conn)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String()
}

// authority signs the certificate of every server on the island.
type authority struct {
	file string // the certificate, for SSL_CERT_FILE
	cert tls.Certificate

	newest uint16 // version of the protocol
}

func newAuthority(t *testing.T, wrong string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	mustDo(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "island"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames:    []string{"registry.example", "stranger.example", "home.example", "home6.example", "metadata.example", "metadata6.example"},
		IPAddresses: []net.IP{registryAddr.AsSlice(), strangerAddr.AsSlice(), net.IPv4(127, 0, 0, 1), net.IPv6loopback, metadataAddr.AsSlice(), metadata6.AsSlice()},
	}
	switch wrong {
	case "expired":
		template.NotBefore, template.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
	case "name":
		template.DNSNames = []string{"stranger.example"}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	mustDo(t, err)
	a := authority{file: t.TempDir() + "/authority.pem", cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, newest: tls.VersionTLS13}
	if wrong == "old" {
		a.newest = tls.VersionTLS11
	}
	mustDo(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

// serve starts an https server and returns its address.
func (a authority) serve(t *testing.T, addr netip.AddrPort, handler http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", addr.String())
	mustDo(t, err)
	s := &httptest.Server{Listener: l, Config: &http.Server{
		Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
	}}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.cert}, MinVersion: tls.VersionTLS10, MaxVersion: a.newest} //nolint:gosec // some of the servers here are bad ones
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return l.Addr().String()
}
