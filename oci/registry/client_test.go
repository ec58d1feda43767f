package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// world is a network of named hosts, each with a handler, and a log of what came in.
type world struct {
	hosts map[string]http.Handler

	mu   sync.Mutex
	log  []string
	auth map[string][]string // Authorization headers, by host
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, name := range []string{"XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG", "CONTAINERS_REGISTRIES_CONF_OVERRIDE"} {
		t.Setenv(name, "")
	}
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	empty := filepath.Join(t.TempDir(), "registries.conf") // not this machine's
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_REGISTRIES_CONF", empty)
	return &world{hosts: map[string]http.Handler{}, auth: map[string][]string{}}
}

// RoundTrip implements http.RoundTripper.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.log = append(w.log, r.Method+" "+r.URL.String())
	if a := r.Header.Get("Authorization"); a != "" {
		w.auth[r.URL.Host] = append(w.auth[r.URL.Host], a)
	}
	h := w.hosts[r.URL.Host]
	w.mu.Unlock()
	if h == nil {
		return nil, errors.New("no such host")
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (w *world) client(change ...func(*Options)) *Client {
	opts := Options{Transport: w, Pause: time.Millisecond, Stall: 5 * time.Second}
	for _, c := range change {
		c(&opts)
	}
	return NewClient(opts)
}

// login writes credentials for hosts into docker's configuration.
func login(t *testing.T, creds map[string]string) {
	t.Helper()
	auths := map[string]any{}
	for host, userpass := range creds {
		auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(userpass))}
	}
	raw, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// contents is a registry that serves these documents by digest, and one of them by the tag.
type contents struct {
	docs  map[digest.Digest][]byte
	types map[digest.Digest]string
	tags  map[string]digest.Digest
}

func newContents() *contents {
	return &contents{docs: map[digest.Digest][]byte{}, types: map[digest.Digest]string{}, tags: map[string]digest.Digest{}}
}

func (c *contents) add(mediaType string, v any) ocispec.Descriptor {
	raw, ok := v.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			panic(err)
		}
	}
	d := digest.FromBytes(raw)
	c.docs[d], c.types[d] = raw, mediaType
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))}
}

// image adds a whole image without layers for a platform.
func (c *contents) image(arch, variant string) ocispec.Descriptor {
	conf := c.add(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}})
	d := c.add(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: conf, Layers: []ocispec.Descriptor{},
	})
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}
	return d
}

func (c *contents) index(entries ...ocispec.Descriptor) ocispec.Descriptor {
	return c.add(ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
}

func (c *contents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		return
	}
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	d := digest.Digest(name)
	if t, ok := c.tags[name]; ok {
		d = t
	}
	raw, ok := c.docs[d]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"never heard of it"}]}`)
		return
	}
	w.Header().Set("Content-Type", c.types[d])
	w.Header().Set("Docker-Content-Digest", string(d))
	w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(raw)
	}
}

func parse(t *testing.T, s string) Ref {
	t.Helper()
	ref, err := ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// resolve is what pull does: the digest, then the rest.
func resolve(t *testing.T, c *Client, name, platform string) (Resolved, error) {
	t.Helper()
	p, err := ParsePlatform(platform)
	if err != nil {
		t.Fatal(err)
	}
	ref := parse(t, name)
	d, err := c.Digest(t.Context(), ref)
	if err != nil {
		return Resolved{}, err
	}
	return c.Resolve(t.Context(), ref.WithDigest(d), p)
}

const host = "registry.example"

func TestResolvePicksThePlatform(t *testing.T) {
	w, c := newWorld(t), newContents()
	w.hosts[host] = c
	want := map[string]ocispec.Descriptor{}
	var entries []ocispec.Descriptor
	for _, p := range []string{"amd64/v3", "amd64/", "arm64/v8", "arm/v6", "arm/v7", "386/"} {
		arch, variant, _ := strings.Cut(p, "/")
		want[p] = c.image(arch, variant)
		entries = append(entries, want[p])
	}
	attestation := c.image("unknown", "")
	attestation.Platform.OS = "unknown"
	entries = append(entries, attestation)
	top := c.index(entries...)
	c.tags["1"] = top.Digest
	for asked, got := range map[string]string{
		"linux/amd64": "amd64/", "amd64": "amd64/", "x86_64": "amd64/", "linux/amd64/v2": "amd64/", "linux/amd64/v4": "amd64/v3", "linux/arm64": "arm64/v8",
		"aarch64": "arm64/v8", "linux/arm": "arm/v7", "linux/arm/v6": "arm/v6", "linux/arm/v8": "arm/v7", "linux/386": "386/",
	} {
		r, err := resolve(t, w.client(), host+"/a:1", asked)
		if err != nil || r.Digest != want[got].Digest || r.Index != top.Digest {
			t.Errorf("%s: %s, %v; want %s", asked, FormatPlatform(r.Platform), err, got)
		}
	}
	for _, asked := range []string{"linux/arm/v5", "linux/riscv64", "windows/amd64", "linux/unknown"} {
		_, err := resolve(t, w.client(), host+"/a:1", asked)
		var platform *PlatformError
		if !errors.As(err, &platform) || len(platform.Have) != 6 || platform.Hint() == "" {
			t.Errorf("%s: %v, want a PlatformError with 6 platforms", asked, err)
		}
	}
	// A plain manifest is for one platform, and its configuration says which.
	c.tags["plain"] = want["386/"].Digest
	_, err := resolve(t, w.client(), host+"/a:plain", "linux/amd64")
	var platform *PlatformError
	if !errors.As(err, &platform) || len(platform.Have) != 1 || platform.Have[0] != "linux/386" {
		t.Errorf("plain manifest: %v", err)
	}
}

func TestParsePlatform(t *testing.T) {
	if p, err := ParsePlatform(""); err != nil || p.OS != "linux" || p.Architecture != runtime.GOARCH {
		t.Errorf("this machine is %+v, %v", p, err)
	}
	for _, bad := range []string{"/", "linux/", "/amd64", "a/b/c/d", "linux/a b", "linux/\x1b", "linux//v7"} {
		if p, err := ParsePlatform(bad); err == nil {
			t.Errorf("ParsePlatform(%q) = %+v", bad, p)
		}
	}
}

func TestNestedIndexes(t *testing.T) {
	w, c := newWorld(t), newContents()
	w.hosts[host] = c
	d := c.image("amd64", "")
	for depth := 1; depth <= maxNesting+1; depth++ {
		top := c.index(d)
		d = top // without a platform: what is inside is not known
		c.tags["1"] = top.Digest
		_, err := resolve(t, w.client(), host+"/a:1", "linux/amd64")
		if ok := depth <= maxNesting; ok != (err == nil) || !ok && !errors.Is(err, ErrNotImage) {
			t.Errorf("%d indexes: %v", depth, err)
		}
	}
	// A circle needs a wrong digest somewhere.
	a := c.index(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString("b"), Size: 10})
	c.docs[digest.FromString("b")], c.types[digest.FromString("b")] = c.docs[a.Digest], ocispec.MediaTypeImageIndex
	c.tags["1"] = a.Digest
	if _, err := resolve(t, w.client(), host+"/a:1", "linux/amd64"); !errors.Is(err, ErrDigest) {
		t.Errorf("circle: %v, want ErrDigest", err)
	}
}

func TestBadDocumentsAreRefused(t *testing.T) {
	good := newContents()
	conf := good.add(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	manifest := func(change func(m map[string]any)) []byte {
		m := map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": conf, "layers": []any{}}
		change(m)
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	withConfig := func(c *contents, mediaType string, v any) []byte {
		d := c.add(mediaType, v)
		return manifest(func(m map[string]any) { m["config"] = d })
	}
	for _, tc := range []struct {
		name        string
		contentType string
		make        func(c *contents) []byte
		want        error
	}{
		{"a web page", "text/html; charset=utf-8", func(*contents) []byte { return []byte("<html>Sign in</html>") }, ErrNotRegistry},
		{"no JSON", ocispec.MediaTypeImageManifest, func(*contents) []byte { return []byte("{") }, ErrNotRegistry},
		{"empty", ocispec.MediaTypeImageManifest, func(*contents) []byte { return nil }, ErrNotRegistry},
		{"nothing in it", ocispec.MediaTypeImageManifest, func(*contents) []byte { return []byte("{}") }, ErrNotImage},
		{"an array", ocispec.MediaTypeImageManifest, func(*contents) []byte { return []byte("[]") }, ErrNotRegistry},
		{"very deep", ocispec.MediaTypeImageManifest, func(*contents) []byte { return []byte(strings.Repeat(`{"config":`, 100000)) }, ErrNotRegistry},
		{"too large", ocispec.MediaTypeImageManifest, func(*contents) []byte { return make([]byte, MaxManifest+1) }, ErrTooLarge},
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", func(*contents) []byte { return []byte(`{"schemaVersion":1,"fsLayers":[]}`) }, ErrMediaType},
		{"an index and a manifest at once (CVE-2021-41190)", ocispec.MediaTypeImageManifest, func(*contents) []byte {
			return manifest(func(m map[string]any) { m["manifests"] = []any{} })
		}, ErrNotImage},
		{"an index by its header", ocispec.MediaTypeImageIndex, func(*contents) []byte { return manifest(func(map[string]any) {}) }, ErrNotImage},
		{"an index by its media type", "application/json", func(*contents) []byte {
			return manifest(func(m map[string]any) { m["mediaType"] = ocispec.MediaTypeImageIndex })
		}, ErrNotImage},
		{"a foreign media type", "application/json", func(*contents) []byte {
			return manifest(func(m map[string]any) { m["mediaType"] = "application/x-other" })
		}, ErrMediaType},
		{"a chart", ocispec.MediaTypeImageManifest, func(c *contents) []byte {
			return withConfig(c, "application/vnd.cncf.helm.config.v1+json", map[string]string{})
		}, ErrNotImage},
		{"a configuration without its layers", ocispec.MediaTypeImageManifest, func(c *contents) []byte {
			return withConfig(c, ocispec.MediaTypeImageConfig, map[string]any{"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"diff_ids": []string{string(conf.Digest)}}})
		}, ErrNotImage},
		{"a configuration that is no JSON", ocispec.MediaTypeImageManifest, func(c *contents) []byte { return withConfig(c, ocispec.MediaTypeImageConfig, []byte("<")) }, ErrNotImage},
		{"a configuration too large", ocispec.MediaTypeImageManifest, func(*contents) []byte {
			return manifest(func(m map[string]any) { d := conf; d.Size = MaxManifest + 1; m["config"] = d })
		}, ErrTooLarge},
		{"a configuration of another size", ocispec.MediaTypeImageManifest, func(*contents) []byte {
			return manifest(func(m map[string]any) { d := conf; d.Size--; m["config"] = d })
		}, ErrDigest},
		{"a configuration that is not there", ocispec.MediaTypeImageManifest, func(*contents) []byte {
			return manifest(func(m map[string]any) { d := conf; d.Digest = digest.FromString("no"); m["config"] = d })
		}, ErrNotFound},
		{"a digest that is a path", ocispec.MediaTypeImageManifest, func(*contents) []byte {
			return manifest(func(m map[string]any) { d := conf; d.Digest = "sha256:../../../etc/passwd"; m["config"] = d })
		}, ErrNotImage},
		{"501 layers", ocispec.MediaTypeImageManifest, func(*contents) []byte {
			l := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: conf.Digest, Size: 1}
			return manifest(func(m map[string]any) {
				layers := make([]any, 501)
				for i := range layers {
					layers[i] = l
				}
				m["layers"] = layers
			})
		}, ErrTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, c := newWorld(t), newContents()
			w.hosts[host] = c
			c.add(conf.MediaType, good.docs[conf.Digest])
			c.tags["1"] = c.add(tc.contentType, append([]byte{}, tc.make(c)...)).Digest
			if _, err := resolve(t, w.client(), host+"/a:1", "linux/amd64"); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
}

func TestWrongDigests(t *testing.T) {
	w, c := newWorld(t), newContents()
	d := c.image("amd64", "")
	c.tags["1"] = d.Digest
	lie := digest.FromString("something else")
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		c.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			rw.Header()[k] = v
		}
		if strings.HasSuffix(r.URL.Path, "/1") {
			rw.Header().Set("Docker-Content-Digest", string(lie))
		}
		rw.WriteHeader(rec.Code)
		_, _ = rw.Write(rec.Body.Bytes())
	})
	// The digest of HEAD leads to a request by digest, which is not there.
	if _, err := resolve(t, w.client(), host+"/a:1", "amd64"); !errors.Is(err, ErrNotFound) {
		t.Errorf("HEAD lies: %v", err)
	}
	c.docs[lie], c.types[lie] = c.docs[d.Digest], ocispec.MediaTypeImageManifest
	if _, err := resolve(t, w.client(), host+"/a:1", "amd64"); !errors.Is(err, ErrDigest) {
		t.Errorf("other content under a digest: %v, want ErrDigest", err)
	}
}

func TestRegistryWithoutDigestHeader(t *testing.T) {
	w, c := newWorld(t), newContents()
	d := c.image("amd64", "")
	c.tags["1"] = d.Digest
	for _, head := range []int{http.StatusOK, http.StatusMethodNotAllowed, http.StatusNotFound} {
		w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			c.ServeHTTP(rec, r)
			rec.Header().Del("Docker-Content-Digest")
			for k, v := range rec.Header() {
				rw.Header()[k] = v
			}
			if r.Method == http.MethodHead {
				rw.WriteHeader(head)
				return
			}
			_, _ = rw.Write(rec.Body.Bytes())
		})
		if r, err := resolve(t, w.client(), host+"/a:1", "amd64"); err != nil || r.Digest != d.Digest {
			t.Errorf("HEAD says %d: %s, %v", head, r.Digest, err)
		}
	}
}

func TestStatusesAndRetries(t *testing.T) {
	for _, tc := range []struct {
		status   int
		body     string
		want     error
		requests int // HEAD and GET for the manifest
	}{
		{http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}`, ErrUnauthorized, 2},
		{http.StatusForbidden, "", ErrUnauthorized, 2},
		{http.StatusNotFound, `{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}`, ErrNotFound, 2},
		{http.StatusTooManyRequests, "", ErrRateLimited, 1 + maxRetries},
		{http.StatusServiceUnavailable, "<html>", ErrUnreachable, 1 + maxRetries},
		{http.StatusInternalServerError, "", ErrUnreachable, 1 + maxRetries},
		{http.StatusTeapot, "", ErrNotRegistry, 2},
		{http.StatusFound, "", nil, 2},
	} {
		w := newWorld(t)
		n := 0
		w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			n++
			rw.WriteHeader(tc.status)
			_, _ = io.WriteString(rw, tc.body)
		})
		_, err := w.client().Digest(t.Context(), parse(t, host+"/a:1"))
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("status %d: %v, want %v", tc.status, err, tc.want)
		}
		if tc.want != nil && n != tc.requests {
			t.Errorf("status %d: %d requests, want %d", tc.status, n, tc.requests)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "5": 5 * time.Second, "1000000000": 365 * 24 * time.Hour, "-5": 0, "soon": 0, "1h2": 0, "1m": 0, "1.5": 0, "99999999999999999999": 0,
		now.Add(10 * time.Second).Format(http.TimeFormat): 10 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := askedToWait(value, now); got != want {
			t.Errorf("askedToWait(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestBasicCredentialsStayWithTheRegistry(t *testing.T) {
	w, c := newWorld(t), newContents()
	login(t, map[string]string{host: "me:secret"})
	c.tags["1"] = c.image("amd64", "").Digest
	w.hosts["cdn.example"] = c
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(rw, r, "https://cdn.example"+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		c.ServeHTTP(rw, r)
	})
	if _, err := resolve(t, w.client(), host+"/a:1", "amd64"); err != nil {
		t.Fatal(err)
	}
	if len(w.auth[host]) == 0 || len(w.auth["cdn.example"]) != 0 || len(w.auth) != 1 {
		t.Errorf("credentials went to %v", w.auth)
	}
}

func TestBearerTokens(t *testing.T) {
	w, c := newWorld(t), newContents()
	login(t, map[string]string{host: "me:secret", "auth.example": "other:other"})
	c.tags["1"] = c.image("amd64", "").Digest
	w.hosts["cdn.example"] = c
	tokens := 0
	w.hosts["auth.example"] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		tokens++
		user, pass, _ := r.BasicAuth()
		if r.URL.Query().Get("scope") != "repository:a:pull" || user != "me" || pass != "secret" {
			t.Errorf("token asked for with %v by %q", r.URL.Query(), user)
		}
		_, _ = fmt.Fprintf(rw, `{"token":"t%d"}`, tokens)
	})
	expired := 1 // the first token is good for one request
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("Authorization")
		if token == "" || token == "Bearer t1" && expired < 1 {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.example/token",service="s",scope="repository:a:pull"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		expired--
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(rw, r, "https://cdn.example"+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		c.ServeHTTP(rw, r)
	})
	if _, err := resolve(t, w.client(), host+"/a:1", "amd64"); err != nil {
		t.Fatal(err)
	}
	if tokens < 2 {
		t.Errorf("%d tokens: the expired one was not renewed", tokens)
	}
	if len(w.auth["cdn.example"]) != 0 {
		t.Errorf("the redirect got credentials: %v", w.auth["cdn.example"])
	}
	for _, a := range w.auth[host] {
		if strings.HasPrefix(a, "Basic") {
			t.Error("the registry got the password, though it wants tokens")
		}
	}
}

func TestUnauthorizedForever(t *testing.T) {
	w := newWorld(t)
	w.hosts["auth.example"] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, `{"token":"t"}`) })
	n := 0
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		n++
		rw.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.example/token"`)
		rw.WriteHeader(http.StatusUnauthorized)
	})
	_, err := resolve(t, w.client(), host+"/a:1", "amd64")
	var hint interface{ Hint() string }
	if !errors.Is(err, ErrUnauthorized) || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "log in") {
		t.Errorf("%v, want ErrUnauthorized with a hint", err)
	}
	if n > 8 {
		t.Errorf("%d requests in a loop of 401s", n)
	}
}

// A registry must not be able to lead the client to plain http, round in circles, or to another scheme.
func TestRedirects(t *testing.T) {
	for _, tc := range []struct {
		to   string
		want error
	}{
		{"http://cdn.example/x", ErrForbiddenAddress},
		{"http://" + host + "/x", nil}, // goes over https all the same, and is not there
		{"http://169.254.169.254/latest/meta-data", ErrForbiddenAddress},
		{"http://localhost/x", ErrForbiddenAddress},
		{"ftp://cdn.example/x", ErrForbiddenAddress},
		{"https://" + host + "/v2/a/blobs/again", ErrNotRegistry},
	} {
		w, c := newWorld(t), newContents()
		d := c.image("amd64", "")
		c.tags["1"] = d.Digest
		w.hosts["cdn.example"] = c
		w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(rw, r, tc.to, http.StatusTemporaryRedirect)
				return
			}
			c.ServeHTTP(rw, r)
		})
		_, err := resolve(t, w.client(), host+"/a:1", "amd64")
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("redirect to %s: %v, want %v", tc.to, err, tc.want)
		}
		for _, line := range w.log {
			u, _ := url.Parse(strings.Fields(line)[1])
			if u.Scheme != "https" {
				t.Errorf("redirect to %s: asked %s", tc.to, line)
			}
		}
	}
}

func TestTokenServiceMustNotBeInside(t *testing.T) {
	for _, realm := range []string{"http://auth.example/token", "https://169.254.169.254/", "https://10.0.0.1/", "file:///etc/passwd"} {
		w := newWorld(t)
		login(t, map[string]string{host: "me:secret"})
		w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`"`)
			rw.WriteHeader(http.StatusUnauthorized)
		})
		if _, err := resolve(t, w.client(), host+"/a:1", "amd64"); err == nil {
			t.Errorf("realm %s was accepted", realm)
		}
		if len(w.auth) != 0 {
			t.Errorf("realm %s: credentials went to %v", realm, w.auth)
		}
	}
}

// Plain http only for this machine, or when asked for; networks called private are not this machine.
func TestPlainHTTP(t *testing.T) {
	for _, tc := range []struct {
		host     string
		insecure bool
		ok       bool
	}{
		{"127.0.0.1:5000", false, true}, {"127.1.2.3:5000", false, true}, {"localhost:5000", false, true}, {"[::1]:5000", false, true},
		{"registry.example:5000", false, false}, {"10.0.0.1:5000", false, false}, {"192.168.1.1:5000", false, false},
		{"registry.example:5000", true, true}, {"10.0.0.1:5000", true, true},
	} {
		w, c := newWorld(t), newContents()
		c.tags["1"] = c.image("amd64", "").Digest
		w.hosts[tc.host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Scheme == "https" {
				panic(http.ErrAbortHandler)
			}
			c.ServeHTTP(rw, r)
		})
		_, err := resolve(t, NewClient(Options{Transport: noTLS{w}, Insecure: tc.insecure, Pause: time.Millisecond}), tc.host+"/a:1", "amd64")
		if tc.ok != (err == nil) {
			t.Errorf("%s, insecure %v: %v", tc.host, tc.insecure, err)
		}
		var hint interface{ Hint() string }
		if !tc.ok && (!errors.As(err, &hint) || !strings.Contains(hint.Hint(), "--insecure")) {
			t.Errorf("%s: no hint in %v", tc.host, err)
		}
	}
}

// noTLS is a network where nobody speaks https.
type noTLS struct{ *world }

func (n noTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return nil, errors.New("http: server gave HTTP response to HTTPS client")
	}
	return n.world.RoundTrip(r)
}

func TestCheckAddress(t *testing.T) {
	for _, tc := range []struct {
		address string
		local   bool
		ok      bool
	}{
		{"93.184.216.34:443", false, true}, {"10.1.2.3:443", false, true}, {"[2606:2800::1]:443", false, true}, {"[fd00::1]:443", false, true},
		{"127.0.0.1:80", false, false}, {"127.0.0.1:80", true, true}, {"[::1]:80", false, false}, {"[::1]:80", true, true}, {"[::ffff:127.0.0.1]:80", false, false},
		{"169.254.169.254:80", false, false}, {"169.254.169.254:80", true, false}, {"[::ffff:169.254.169.254]:80", true, false}, {"[fe80::1%eth0]:80", true, false},
		{"[fd00:ec2::254]:80", true, false}, {"0.0.0.0:80", true, false}, {"[::]:80", true, false}, {"224.0.0.1:80", true, false}, {"nonsense", true, false},
	} {
		if err := checkAddress("h", tc.address, tc.local); tc.ok != (err == nil) || !tc.ok && !errors.Is(err, ErrForbiddenAddress) {
			t.Errorf("%s, local %v: %v", tc.address, tc.local, err)
		}
	}
}

// A name that a registry sends the client to may mean anything; what counts is the address.
func TestDialerLooksAtTheAddress(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	port := srv.URL[strings.LastIndex(srv.URL, ":")+1:]
	for registry, ok := range map[string]bool{"registry.example": false, "localhost": true} {
		d := &dialer{registry: registry, proxies: map[string]bool{}}
		conn, err := d.dial(t.Context(), "tcp", "127.0.0.1:"+port)
		if ok != (err == nil) {
			t.Errorf("registry %s leads to loopback: %v", registry, err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
	d := &dialer{registry: "registry.example", proxies: map[string]bool{"127.0.0.1:" + port: true}}
	conn, err := d.dial(t.Context(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatalf("the user's proxy on loopback: %v", err)
	}
	_ = conn.Close()
}

func TestCredentialHelperThatFails(t *testing.T) {
	w := newWorld(t)
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		rw.WriteHeader(http.StatusUnauthorized)
	})
	conf := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(conf, []byte(`{"auths":{`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := resolve(t, w.client(), host+"/a:1", "amd64")
	var cred *CredentialError
	if !errors.As(err, &cred) || cred.Hint() == "" {
		t.Errorf("%v, want a CredentialError", err)
	}
}

// Docker Desktop leaves the name of its helper behind. Where the registry wants somebody, that is what is wrong, however quiet
// the command is.
func TestCredentialHelperThatIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		rw.WriteHeader(http.StatusUnauthorized)
	})
	conf := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(conf, []byte(`{"credsStore":"not-there"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := resolve(t, w.client(), host+"/a:1", "amd64")
	var e *HostError
	want := "without credentials: docker-credential-not-there, which " + conf + " names for credentials, is not installed"
	if !errors.Is(err, ErrUnauthorized) || !errors.As(err, &e) || !strings.Contains(e.Error(), want) || !strings.Contains(e.Hint(), "install that helper") {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestCancelWhileWaitingToRetry(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "1000")
		rw.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	})
	if _, err := w.client().Digest(ctx, parse(t, host+"/a:1")); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
