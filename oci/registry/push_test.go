package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/test/fixture"
)

// uploadOf is an image to push, and counts how often its layers are opened.
func uploadOf(im fixture.Image, opened *int) registry.Upload {
	up := registry.Upload{
		Manifest: im.Manifest().Data, MediaType: im.Manifest().Descriptor.MediaType,
		Config: im.ConfigBlob().Descriptor, RawConfig: im.ConfigBlob().Data,
	}
	for _, l := range im.Layers {
		up.Layers = append(up.Layers, l.Descriptor)
	}
	var mu sync.Mutex
	up.Open = func(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
		mu.Lock()
		defer mu.Unlock()
		*opened++
		for _, l := range im.Layers {
			if l.Descriptor.Digest == desc.Digest {
				return io.NopCloser(bytes.NewReader(l.Blob)), nil
			}
		}
		return nil, errors.New("no such layer")
	}
	return up
}

func pushable() fixture.Image {
	return fixture.Image{Layers: []fixture.Layer{
		fixture.NewLayer(fixture.Plain, fixture.File("a", strings.Repeat("text ", 1<<16), 0o644)),
		fixture.NewLayer(fixture.Gzip, fixture.File("b", "small", 0o644)),
	}}
}

func push(t *testing.T, r *fixture.Registry, name string, up registry.Upload) (digest.Digest, error) {
	t.Helper()
	ref, err := registry.ParseRef(r.Ref(name))
	if err != nil {
		t.Fatal(err)
	}
	client := registry.NewClient(registry.Options{Pause: time.Millisecond, Stall: 5 * time.Second})
	return client.Push(t.Context(), ref, up)
}

// count is how many requests there were of a method below a path.
func count(r *fixture.Registry, method, part string) int {
	n := 0
	for _, req := range r.Requests() {
		if strings.HasPrefix(req, method+" ") && strings.Contains(req, part) {
			n++
		}
	}
	return n
}

// arrived looks whether the registry has the image.
func arrived(t *testing.T, r *fixture.Registry, name string, im fixture.Image) {
	t.Helper()
	ref, err := registry.ParseRef(r.Ref(name))
	if err != nil {
		t.Fatal(err)
	}
	want, err := registry.ParsePlatform("")
	if err != nil {
		t.Fatal(err)
	}
	client := registry.NewClient(registry.Options{})
	got, err := client.Resolve(t.Context(), ref, want)
	if err != nil || got.Digest != im.Manifest().Descriptor.Digest || !bytes.Equal(got.RawManifest, im.Manifest().Data) {
		t.Fatalf("%s, %v", got.Digest, err)
	}
	for _, l := range got.Manifest.Layers {
		blob, err := client.Source(ref).Open(t.Context(), l, 0, l.Size)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(blob)
		if err := errors.Join(err, blob.Close()); err != nil || digest.FromBytes(raw) != l.Digest {
			t.Errorf("layer %s: %v", l.Digest, err)
		}
	}
}

func TestPush(t *testing.T) {
	r, opened := fixture.Serve(t), 0
	im := pushable()
	d, err := push(t, r, "team/a:1", uploadOf(im, &opened))
	if err != nil || d != im.Manifest().Descriptor.Digest || opened != 2 {
		t.Fatalf("%s, %v; %d layers opened", d, err, opened)
	}
	arrived(t, r, "team/a:1", im)

	// What is there is not sent again, and the manifest is.
	r.Forget()
	if _, err := push(t, r, "team/a:2", uploadOf(im, &opened)); err != nil || opened != 2 {
		t.Errorf("again: %v; %d layers opened", err, opened)
	}
	if n := count(r, "POST", "") + count(r, "PATCH", ""); n != 0 {
		t.Errorf("again: %d uploads", n)
	}
	arrived(t, r, "team/a:2", im)
}

// TestPushTakesFromOtherRepositories has the registry mount what it has elsewhere.
func TestPushTakesFromOtherRepositories(t *testing.T) {
	r, opened := fixture.Serve(t), 0
	im := pushable()
	r.Push("base/image:1", im)
	up := uploadOf(im, &opened)
	for _, name := range []string{"example.org/elsewhere:1", r.Ref("team/b:1"), r.Ref("base/image:1")} {
		ref, err := registry.ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		up.Elsewhere = append(up.Elsewhere, ref)
	}
	if _, err := push(t, r, "team/b:1", up); err != nil {
		t.Fatal(err)
	}
	if n := count(r, "PATCH", ""); opened > 1 || n > 1 { // the configuration is sent
		t.Errorf("%d layers opened, %d sent", opened, n)
	}
	arrived(t, r, "team/b:1", im)
}

// TestPushGoesOn breaks uploads in several ways.
func TestPushGoesOn(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter, req *http.Request){
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"reset in the middle": func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.CopyN(io.Discard, req.Body, 1000)
			panic(http.ErrAbortHandler)
		},
		"busy":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"slowly":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"forgot":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"timeout": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
	} {
		for _, method := range []string{http.MethodPatch, http.MethodPut} {
			t.Run(name+" "+method, func(t *testing.T) {
				r, opened := fixture.Serve(t), 0
				var once sync.Map
				r.Intercept(func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
						key := req.Method
						if _, seen := once.LoadOrStore(key, true); req.Method == method && strings.Contains(req.URL.Path, "/blobs/") && !seen {
							fault(w, req)
							return
						}
						next.ServeHTTP(w, req)
					})
				})
				im := pushable()
				if _, err := push(t, r, "a:1", uploadOf(im, &opened)); err != nil {
					t.Fatal(err)
				}
				r.Intercept(nil)
				arrived(t, r, "a:1", im)
			})
		}
	}
}

// TestPushResumes has a registry say how much it has of a broken upload, and gets the rest.
func TestPushResumes(t *testing.T) {
	r, opened := fixture.Serve(t), 0
	im := pushable()
	im.Layers = im.Layers[:1]
	const have = 100_000
	var mu sync.Mutex
	var lengths []int64
	var kept []byte
	r.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case req.Method == http.MethodPatch && req.ContentLength > have:
				lengths = append(lengths, req.ContentLength)
				if kept == nil {
					kept = make([]byte, have)
					_, _ = io.ReadFull(req.Body, kept)
					panic(http.ErrAbortHandler)
				}
				if got := req.Header.Get("Content-Range"); !strings.HasPrefix(got, "100000-") {
					t.Errorf("Content-Range: %q", got)
				}
				req.Header.Del("Content-Range")
				rest, _ := io.ReadAll(req.Body)
				req.Body = io.NopCloser(bytes.NewReader(slices.Concat(kept, rest)))
				req.ContentLength = int64(len(kept) + len(rest))
				req.Header.Del("Content-Length")
			case req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/uploads/"):
				w.Header().Set("Range", "0-99999")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(w, req)
		})
	})
	if _, err := push(t, r, "a:1", uploadOf(im, &opened)); err != nil {
		t.Fatal(err)
	}
	size := im.Layers[0].Descriptor.Size
	if !slices.Equal(lengths, []int64{size, size - have}) {
		t.Errorf("sent %v, want %d and %d", lengths, size, size-have)
	}
	r.Intercept(nil)
	arrived(t, r, "a:1", im)
}

// TestPushFails for good, with the reason, and without leaving a tag behind.
func TestPushFails(t *testing.T) {
	im := pushable()
	for name, c := range map[string]struct {
		status int
		change func(*registry.Upload)
		want   error
	}{
		"denied":      {http.StatusForbidden, nil, registry.ErrUnauthorized},
		"always busy": {http.StatusServiceUnavailable, nil, registry.ErrUnreachable},
		"wrong bytes": {0, func(up *registry.Upload) {
			up.Open = func(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader("short")), nil
			}
		}, registry.ErrDigest},
		"no bytes": {0, func(up *registry.Upload) {
			up.Open = func(context.Context, ocispec.Descriptor) (io.ReadCloser, error) { return nil, io.ErrNoProgress }
		}, io.ErrNoProgress},
	} {
		r, opened := fixture.Serve(t), 0
		if c.status != 0 {
			r.Intercept(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.Method == http.MethodPost {
						w.WriteHeader(c.status)
						return
					}
					next.ServeHTTP(w, req)
				})
			})
		}
		up := uploadOf(im, &opened)
		if c.change != nil {
			c.change(&up)
		}
		if _, err := push(t, r, "a:1", up); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if n := count(r, "PUT", "/manifests/"); n != 0 {
			t.Errorf("%s: the manifest was sent all the same", name)
		}
	}
}

// TestPushMayTakeLong sends slower than the patience that each piece has. The registry takes one upload at a time. The time is the test's own.
func TestPushMayTakeLong(t *testing.T) {
	r := fixture.Serve(t)
	im := pushable()
	im.Layers = im.Layers[:1]
	synctest.Test(t, func(t *testing.T) { pushSlowly(t, r, im) })
	arrived(t, r, "a:1", im)
}

func pushSlowly(t *testing.T, r *fixture.Registry, im fixture.Image) {
	t.Helper()
	opened := 0
	ref, err := registry.ParseRef("registry.example/a:1")
	if err != nil {
		t.Fatal(err)
	}
	up := uploadOf(im, &opened)
	whole := up.Open
	up.Open = func(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
		blob, err := whole(ctx, desc)
		return &slow{blob}, err
	}
	const stall = 500 * time.Millisecond
	client := registry.NewClient(registry.Options{Transport: direct{r}, Pause: time.Millisecond, Stall: stall})
	began := time.Now()
	if _, err := client.Push(t.Context(), ref, up); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took <= 2*stall {
		t.Errorf("it took %v, which is not long", took)
	}
}

// direct asks a registry without a network.
type direct struct{ registry *fixture.Registry }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req = req.Clone(req.Context())
		req.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	d.registry.Handler().ServeHTTP(answer, req)
	if err := req.Context().Err(); err != nil { // given up meanwhile
		return nil, err
	}
	resp := answer.Result()
	resp.Request = req
	return resp, nil
}

// slow takes its time for each read, and a second for all.
type slow struct{ io.ReadCloser }

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(30 * time.Millisecond)
	return s.ReadCloser.Read(p[:min(len(p), 1<<13)])
}

// TestPushAsksForWhatItNeeds pushes to a registry whose tokens end in the middle of it, and looks at what they are asked for.
func TestPushAsksForWhatItNeeds(t *testing.T) {
	r, opened := fixture.Serve(t), 0
	im := pushable()
	r.Push("base/image:1", im)
	var mu sync.Mutex
	var scopes []string
	tokens, uses := 0, 0
	r.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if req.URL.Path == "/token" {
				tokens++
				uses = 0
				scopes = req.URL.Query()["scope"]
				_, _ = fmt.Fprintf(w, `{"token":"t%d"}`, tokens)
				return
			}
			if uses++; req.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", tokens) || uses > 3 {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="here"`, req.Host))
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, req)
		})
	})
	up := uploadOf(im, &opened)
	ref, err := registry.ParseRef(r.Ref("base/image:1"))
	if err != nil {
		t.Fatal(err)
	}
	up.Elsewhere = []registry.Ref{ref}
	if _, err := push(t, r, "team/a:1", up); err != nil {
		t.Fatal(err)
	}
	if tokens < 2 {
		t.Errorf("%d tokens", tokens)
	}
	if all := strings.Join(scopes, " "); !strings.Contains(all, "repository:team/a:pull,push") || !strings.Contains(all, "repository:base/image:pull") || strings.Contains(all, "base/image:pull,push") {
		t.Errorf("asked for %q", all)
	}
	r.Intercept(nil)
	arrived(t, r, "team/a:1", im)
}
