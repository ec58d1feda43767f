package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/registry/routes"
)

// configure writes the registries.conf of a test.
func configure(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(os.Getenv("CONTAINERS_REGISTRIES_CONF"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const mirrored = "[[registry]]\nlocation = \"" + host + "\"\n[[registry.mirror]]\nlocation = \"mirror.example/m\"\n"

// notes keeps what a client says.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) option(o *Options) {
	o.Note = func(text string) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.lines = append(n.lines, text)
	}
}

func (w *world) asked(host string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, line := range w.log {
		if strings.Contains(line, "://"+host+"/") {
			n++
		}
	}
	return n
}

// pulled is what a pull asks for: digest, manifest, configuration.
func pulled(t *testing.T, c *Client, name string) error {
	t.Helper()
	_, err := resolve(t, c, name, "amd64")
	return err
}

func TestMirrorComesFirst(t *testing.T) {
	w, c, n := newWorld(t), newContents(), &notes{}
	configure(t, mirrored)
	c.tags["1"] = c.image("amd64", "").Digest
	w.hosts["mirror.example"] = c
	r, err := resolve(t, w.client(n.option), host+"/a:1", "amd64")
	if err != nil || w.asked(host) != 0 || w.asked("mirror.example") == 0 {
		t.Errorf("%v, and the registry was asked %d times", err, w.asked(host))
	}
	if got := r.Ref.Registry(); got != host {
		t.Errorf("the image is of %s now", got)
	}
	if len(n.lines) != 0 {
		t.Errorf("said %q", n.lines)
	}
}

// Whatever is wrong with a mirror, the registry itself is asked, and a person told once.
func TestMirrorIsPassedOver(t *testing.T) {
	good := newContents()
	image := good.image("amd64", "")
	good.tags["1"] = image.Digest
	for name, mirror := range map[string]http.Handler{
		"not there":    nil,
		"lacks it":     newContents(),
		"web page":     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }),
		"broken":       http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }),
		"too much":     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }),
		"denies":       http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }),
		"asks for who": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }),
		"leads astray": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}),
		"wrong manifest": http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				rw.Header().Set("Docker-Content-Digest", string(image.Digest))
				_, _ = io.WriteString(rw, `{"schemaVersion":2,"config":{},"layers":[]}`)
			}
		}),
		"no configuration": http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				rw.WriteHeader(http.StatusNotFound)
				return
			}
			good.ServeHTTP(rw, r)
		}),
	} {
		w, n := newWorld(t), &notes{}
		configure(t, mirrored)
		w.hosts[host] = good
		if mirror != nil {
			w.hosts["mirror.example"] = mirror
		}
		if err := pulled(t, w.client(n.option), host+"/a:1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(n.lines) != 1 || !strings.Contains(n.lines[0], "mirror.example/m/a") || !strings.Contains(n.lines[0], host+"/a") {
			t.Errorf("%s: said %q", name, n.lines)
		}
	}
}

func TestMirrorWithWrongConfiguration(t *testing.T) {
	good := newContents()
	good.tags["1"] = good.image("amd64", "").Digest
	w := newWorld(t)
	configure(t, mirrored)
	w.hosts[host] = good
	w.hosts["mirror.example"] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			good.ServeHTTP(rw, r)
			return
		}
		d := digest.Digest(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		_, _ = io.WriteString(rw, strings.Repeat("x", len(good.docs[d]))) // the right size
	})
	if err := pulled(t, w.client(), host+"/a:1"); err != nil {
		t.Error(err)
	}
}

func TestAllPlacesAreNamed(t *testing.T) {
	w := newWorld(t)
	configure(t, mirrored+"[[registry.mirror]]\nlocation = \"second.example\"\n")
	w.hosts[host], w.hosts["second.example"] = newContents(), newContents()
	err := pulled(t, w.client(), host+"/a:1")
	var tried *TriedError
	if !errors.Is(err, ErrNotFound) || !errors.As(err, &tried) || len(tried.Before) != 2 {
		t.Fatalf("error %v, want a TriedError of three", err)
	}
	for _, name := range []string{host + "/a", "mirror.example/m/a", "second.example/a"} {
		if strings.Count(err.Error(), name+":") != 1 {
			t.Errorf("%s is not named once in %v", name, err)
		}
	}
}

func TestBlocked(t *testing.T) {
	w := newWorld(t)
	configure(t, "[[registry]]\nlocation = \""+host+"\"\nblocked = true\n")
	w.hosts[host] = newContents()
	err := pulled(t, w.client(), host+"/a:1")
	var blocked *routes.BlockedError
	if !errors.As(err, &blocked) || len(w.log) != 0 || !strings.Contains(err.Error(), os.Getenv("CONTAINERS_REGISTRIES_CONF")) {
		t.Errorf("error %v after %v", err, w.log)
	}
}

// Each place has its own credentials, also those of a part of a registry.
func TestCredentialsOfMirrors(t *testing.T) {
	w, c := newWorld(t), newContents()
	configure(t, mirrored)
	login(t, map[string]string{host: "own:1", "mirror.example": "no:2", "mirror.example/m": "mirror:3"})
	c.tags["1"] = c.image("amd64", "").Digest
	basic := func(user string, next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if got, _, ok := r.BasicAuth(); !ok || got != user {
				rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}
	w.hosts["mirror.example"] = basic("mirror", newContents())
	w.hosts[host] = basic("own", c)
	if err := pulled(t, w.client(), host+"/a:1"); err != nil {
		t.Fatal(err)
	}
	for h, want := range map[string]string{host: "Basic b3duOjE=", "mirror.example": "Basic bWlycm9yOjM="} {
		for _, got := range w.auth[h] {
			if got != want {
				t.Errorf("%s got %s", h, got)
			}
		}
		if len(w.auth[h]) == 0 {
			t.Errorf("%s got nothing", h)
		}
	}
}

// A tag that was resolved stays a pull by tag for the mirrors, and a digest one by digest.
func TestMirrorsOfTagsAndDigests(t *testing.T) {
	conf := "[[registry]]\nlocation = \"" + host + "\"\n[[registry.mirror]]\nlocation = \"digests.example\"\npull-from-mirror = \"digest-only\"\n" +
		"[[registry.mirror]]\nlocation = \"tags.example\"\npull-from-mirror = \"tag-only\"\n"
	c := newContents()
	d := c.image("amd64", "")
	c.tags["1"] = d.Digest
	for name, want := range map[string]string{host + "/a:1": "tags.example", host + "/a@" + string(d.Digest): "digests.example"} {
		w := newWorld(t)
		configure(t, conf)
		w.hosts["tags.example"], w.hosts["digests.example"], w.hosts[host] = c, c, c
		if err := pulled(t, w.client(), name); err != nil {
			t.Error(err)
		}
		if w.asked(want) != len(w.log) {
			t.Errorf("%s: asked %v, want only %s", name, w.log, want)
		}
	}
}

func TestLocationAndInsecure(t *testing.T) {
	w, c := newWorld(t), newContents()
	configure(t, "[[registry]]\nprefix = \""+host+"/team\"\nlocation = \"inside.example:5000/x\"\ninsecure = true\n")
	c.tags["1"] = c.image("amd64", "").Digest
	w.hosts["inside.example:5000"] = c
	client := NewClient(Options{Transport: noTLS{w}, Pause: 1})
	if err := pulled(t, client, host+"/team/a:1"); err != nil {
		t.Error(err)
	}
	for _, line := range w.log {
		if !strings.Contains(line, "http://inside.example:5000/v2/") {
			t.Errorf("asked %s", line)
		}
	}
}

// --insecure is about the registry that was named, not about its mirrors.
func TestInsecureIsNotForMirrors(t *testing.T) {
	w, c := newWorld(t), newContents()
	configure(t, mirrored)
	c.tags["1"] = c.image("amd64", "").Digest
	w.hosts["mirror.example"], w.hosts[host] = c, c
	client := NewClient(Options{Transport: noTLS{w}, Pause: 1, Insecure: true})
	if err := pulled(t, client, host+"/a:1"); err != nil {
		t.Error(err)
	}
	if n := w.asked("mirror.example"); n != 0 {
		t.Errorf("the mirror was asked %d times over http", n)
	}
}

func TestAliasIsNoted(t *testing.T) {
	w, c, n := newWorld(t), newContents(), &notes{}
	configure(t, "[aliases]\nfedora = \"registry.fedoraproject.org/fedora\"\n")
	c.tags["latest"] = c.image("amd64", "").Digest
	w.hosts[dockerHubHost] = c
	if err := pulled(t, w.client(n.option), "fedora"); err != nil || len(n.lines) != 1 || !strings.Contains(n.lines[0], "registry.fedoraproject.org") {
		t.Errorf("%v, said %q", err, n.lines)
	}
}

func TestBrokenConfigurationStopsAPull(t *testing.T) {
	w := newWorld(t)
	configure(t, "[[registry")
	w.hosts[host] = newContents()
	var file *routes.FileError
	if err := pulled(t, w.client(), host+"/a:1"); !errors.As(err, &file) || len(w.log) != 0 {
		t.Errorf("error %v after %v", err, w.log)
	}
}

// A mirror's blobs may break off a few times. What is wrong with their bytes only the reader knows.
func TestBlobsOfAMirror(t *testing.T) {
	good := newContents()
	image := good.image("amd64", "")
	good.tags["1"] = image.Digest
	blob := good.add("application/octet-stream", []byte(strings.Repeat("blob ", 1000)))
	w, n := newWorld(t), &notes{}
	configure(t, mirrored)
	w.hosts[host] = good
	w.hosts["mirror.example"] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, string(blob.Digest)) {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		good.ServeHTTP(rw, r)
	})
	src := w.client(n.option).Source(parse(t, host+"/a:1"))
	if _, err := src.Digest(t.Context()); err != nil {
		t.Fatal(err)
	}
	for try := range maxWeak {
		if _, err := src.Open(t.Context(), blob, 0, blob.Size); !Passing(err, true) {
			t.Fatalf("try %d: %v", try, err)
		}
	}
	body, err := src.Open(t.Context(), blob, 0, blob.Size)
	if err != nil {
		t.Fatalf("not from the registry itself: %v", err)
	}
	if raw, err := io.ReadAll(body); err != nil || digest.FromBytes(raw) != blob.Digest {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	if len(n.lines) != 1 {
		t.Errorf("said %q", n.lines)
	}
	if src.PassOver(t.Context(), src.From(t.Context()), errors.New("wrong")) {
		t.Error("passed the registry itself over")
	}
}

func TestPassOver(t *testing.T) {
	c := newContents()
	c.tags["1"] = c.image("amd64", "").Digest
	w := newWorld(t)
	configure(t, mirrored)
	w.hosts[host], w.hosts["mirror.example"] = c, c
	src := w.client().Source(parse(t, host+"/a:1"))
	if src.PassOver(context.Background(), 0, errors.New("early")) {
		t.Error("passed over what was not asked yet")
	}
	if _, err := src.Digest(t.Context()); err != nil {
		t.Fatal(err)
	}
	from := src.From(t.Context())
	for range 3 { // layers that were read at the same time
		if !src.PassOver(t.Context(), from, errors.New("wrong")) {
			t.Error("there is no other place")
		}
	}
	if src.PassOver(t.Context(), src.From(t.Context()), errors.New("wrong")) {
		t.Error("there is yet another place")
	}
}

// Pushing goes to the image's own place and asks for that.
func TestPushSession(t *testing.T) {
	w := newWorld(t)
	configure(t, mirrored)
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Bearer realm="https://`+host+`/token",scope="repository:a:pull"`)
		rw.WriteHeader(http.StatusUnauthorized)
	})
	scope := ""
	inner := w.hosts[host]
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			scope = strings.Join(r.URL.Query()["scope"], " ")
			_, _ = io.WriteString(rw, `{"token":"t"}`)
			return
		}
		inner.ServeHTTP(rw, r)
	})
	s, err := w.client().pushSession(t.Context(), parse(t, host+"/a:1"))
	if err != nil || s.base != "https://"+host+"/v2/a" {
		t.Fatalf("%v, %v", s, err)
	}
	if !strings.Contains(scope, "repository:a:pull,push") {
		t.Errorf("scope %q", scope)
	}
	if w.asked("mirror.example") != 0 {
		t.Error("asked a mirror")
	}
}
