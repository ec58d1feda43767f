package pull_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/unpack"
	"github.com/coracle-run/coracle/test/fixture"
)

// hang answers requests for layers with a header and then nothing, until the client goes.
func hang(started func()) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isLayer(r) {
				next.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			started()
			<-r.Context().Done()
		})
	}
}

// isLayer tells requests for layers of sample from those for its configuration.
func isLayer(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/blobs/") && !strings.Contains(r.URL.Path, string(sample().ConfigBlob().Descriptor.Digest))
}

// breaking serves a blob's range and cuts the connection after a number of bytes, for the first cuts requests of each
// blob; 0 bytes closes it before the header.
func breaking(after, cuts int, ranges bool) func(http.Handler) http.Handler {
	var mu sync.Mutex
	seen := map[string]int{}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isLayer(r) {
				next.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			seen[r.URL.Path]++
			n := seen[r.URL.Path]
			mu.Unlock()
			blob := httptest.NewRecorder()
			plain := r.Clone(r.Context())
			plain.Header.Del("Range")
			next.ServeHTTP(blob, plain)
			if !ranges {
				r.Header.Del("Range")
			}
			out := &cutter{ResponseWriter: w, left: 1 << 60}
			if n <= cuts {
				out.left = after
			}
			http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(blob.Body.Bytes()))
		})
	}
}

// cutter breaks the connection after some bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.left < len(p) {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func TestBrokenConnectionsAreResumed(t *testing.T) {
	for _, c := range []struct {
		name        string
		after, cuts int
		ranges      bool
	}{
		{"resumes with a range", 100 << 10, 2, true},
		{"cut again and again, each time further", 60 << 10, 5, true},
		{"cut at once", 0, 3, true},
		{"server ignores ranges", 100 << 10, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg, st := fixture.Serve(t), newStore(t)
			reg.Push("a:1", sample())
			reg.Intercept(breaking(c.after, c.cuts, c.ranges))
			rec := &recorder{}
			img, err := fetch(t, st, reg.Ref("a:1"), func(o *options) { o.Progress = rec })
			if err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(filepath.Join(st.LayerDir(img.Layers()[0]), "big"))
			if err != nil || string(raw) != noise(1, 300<<10) {
				t.Errorf("content differs (%v)", err)
			}
			if size := sample().Layers[0].Descriptor.Size; rec.bytes[string(img.Layers()[0])] != size {
				t.Errorf("%d bytes reported of %d", rec.bytes[string(img.Layers()[0])], size)
			}
			clean(t, st)
		})
	}
}

func TestStalledConnectionIsMadeAnew(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	reg.Push("a:1", sample())
	var hung atomic.Int32
	slow := hang(func() {})
	reg.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isLayer(r) && hung.Add(1) == 1 {
				slow(next).ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if _, err := fetch(t, st, reg.Ref("a:1"), func(o *options) { o.registry.Stall = time.Second }); err != nil {
		t.Fatal(err)
	}
}

func TestRetriesAreBounded(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	reg.Push("a:1", sample())
	reg.Intercept(breaking(0, 1<<30, true))
	if _, err := fetch(t, st, reg.Ref("a:1")); !errors.Is(err, registry.ErrUnreachable) {
		t.Errorf("error %v, want ErrUnreachable", err)
	}
	if n := len(reg.Requests()); n > 40 {
		t.Errorf("%d requests for an image that never comes", n)
	}
	clean(t, st)
}

// falsify changes what a registry sends of every layer.
func falsify(change func([]byte) []byte) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isLayer(r) {
				next.ServeHTTP(w, r)
				return
			}
			blob := httptest.NewRecorder()
			next.ServeHTTP(blob, r)
			raw, _ := io.ReadAll(blob.Body)
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush() // chunked: no length gives it away
			_, _ = w.Write(change(raw))
		})
	}
}

func TestWrongContentIsRefused(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"one bit in the middle":    func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"one bit in the magic":     func(b []byte) []byte { b[0] ^= 1; return b },
		"one bit in the last byte": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"a byte more":              func(b []byte) []byte { return append(b, 0) },
		"another layer":            func(b []byte) []byte { return bytes.Repeat([]byte{0}, len(b)) },
	} {
		t.Run(name, func(t *testing.T) {
			reg, st := fixture.Serve(t), newStore(t)
			im := fixture.Image{Layers: sample().Layers[:1]}
			reg.Push("a:1", im)
			conf := string(im.ConfigBlob().Descriptor.Digest)
			tamper := falsify(change)
			reg.Intercept(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.URL.Path, conf) {
						next.ServeHTTP(w, r)
						return
					}
					tamper(next).ServeHTTP(w, r)
				})
			})
			_, err := fetch(t, st, reg.Ref("a:1"))
			if !errors.Is(err, registry.ErrDigest) {
				t.Errorf("error %v, want ErrDigest", err)
			}
			if st.HasLayer(im.Layers[0].Descriptor.Digest) {
				t.Error("the layer was stored")
			}
			clean(t, st)
		})
	}
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Each image here is served faithfully, and is bad in itself.
func TestBadImagesAreRefused(t *testing.T) {
	good := func() fixture.Layer { return fixture.NewLayer(fixture.Gzip, fixture.File("f", "x", 0o644)) }
	archive := fixture.Tar(fixture.File("f", "x", 0o644))
	relabel := func(blob []byte, mediaType string) fixture.Layer {
		l := good()
		l.Blob = blob
		l.Descriptor.Digest, l.Descriptor.Size, l.Descriptor.MediaType = digest.FromBytes(blob), int64(len(blob)), mediaType
		return l
	}
	var wide bytes.Buffer
	z, err := zstd.NewWriter(&wide, zstd.WithWindowSize(512<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := z.Flush(); err != nil { // no size in the header, so that the window counts
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		layer fixture.Layer
		want  error
	}{
		{"the digest of the archive", func() fixture.Layer { l := good(); l.DiffID = digest.FromString("other"); return l }(), registry.ErrDigest},
		{"a size too small", func() fixture.Layer { l := good(); l.Descriptor.Size--; return l }(), registry.ErrDigest},
		{"a size too large", func() fixture.Layer { l := good(); l.Descriptor.Size++; return l }(), registry.ErrDigest},
		{"a negative size", func() fixture.Layer { l := good(); l.Descriptor.Size = -1; return l }(), registry.ErrNotImage},
		{"a digest that is a path", func() fixture.Layer { l := good(); l.Descriptor.Digest = "sha256:../../../../etc/passwd"; return l }(), registry.ErrNotImage},
		{"an unknown media type", func() fixture.Layer { l := good(); l.Descriptor.MediaType = "application/x-squashfs"; return l }(), registry.ErrMediaType},
		{"gzip labelled zstd", relabel(good().Blob, ocispec.MediaTypeImageLayerZstd), registry.ErrMediaType},
		{"gzip labelled plain", relabel(good().Blob, ocispec.MediaTypeImageLayer), registry.ErrMediaType},
		{"plain labelled gzip", relabel(archive, ocispec.MediaTypeImageLayerGzip), registry.ErrMediaType},
		{"damaged inside", relabel(append([]byte{0x1f, 0x8b}, noise(3, 1000)...), ocispec.MediaTypeImageLayerGzip), nil},
		{"bytes after the gzip stream", relabel(append(gzipped(t, archive), "trailing"...), ocispec.MediaTypeImageLayerGzip), nil},
		{"cut gzip stream", relabel(good().Blob[:len(good().Blob)-6], ocispec.MediaTypeImageLayerGzip), nil},
		{"no archive", fixture.LayerOf(fixture.Gzip, []byte(noise(4, 5000))), unpack.ErrLayer},
		{"a name outside", fixture.NewLayer(fixture.Gzip, fixture.File("../../escape", "x", 0o644)), unpack.ErrEscape},
		{"a zstd window of 512 MiB", relabel(wide.Bytes(), ocispec.MediaTypeImageLayerZstd), zstd.ErrWindowSizeExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg, st := fixture.Serve(t), newStore(t)
			im := fixture.Image{Layers: []fixture.Layer{c.layer}}
			// Stored by what it is, whatever the manifest says of it.
			reg.PushBlob("a", fixture.NewBlob("", c.layer.Blob))
			reg.PushBlob("a", im.ConfigBlob())
			reg.Intercept(serveManifest(im.Manifest()))
			_, err := fetch(t, st, reg.Ref("a:1"))
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			clean(t, st)
			if images, err := st.Images(); err != nil || len(images) != 0 {
				t.Errorf("%d images stored (%v)", len(images), err)
			}
		})
	}
}

// A layer that needs more memory than the budget leaves is refused with what would do, and can be had with that.
func TestWindowAboveTheBudget(t *testing.T) {
	var wide bytes.Buffer
	z, err := zstd.NewWriter(&wide, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	archive := fixture.Tar(fixture.File("f", noise(8, 100<<10), 0o644))
	if _, err := z.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Flush(), z.Close()); err != nil { // no size in the header, so that the window counts
		t.Fatal(err)
	}
	l := fixture.LayerOf(fixture.Zstd, archive)
	l.Blob = wide.Bytes()
	l.Descriptor.Digest, l.Descriptor.Size = digest.FromBytes(l.Blob), int64(len(l.Blob))
	reg, st := fixture.Serve(t), newStore(t)
	reg.Push("a:1", fixture.Image{Layers: []fixture.Layer{l}})
	_, err = fetch(t, st, reg.Ref("a:1"), func(o *options) { o.Memory = 48 << 20 })
	var refused *pull.MemoryError
	if !errors.As(err, &refused) || !errors.Is(err, pull.ErrMemory) || refused.Window != 64<<20 || !strings.Contains(refused.Hint(), "--memory-budget") {
		t.Fatalf("error %v, want a MemoryError", err)
	}
	clean(t, st)
	for _, budget := range []int64{refused.Least, 0} {
		st := newStore(t)
		if _, err := fetch(t, st, reg.Ref("a:1"), func(o *options) { o.Memory = budget }); err != nil {
			t.Errorf("with %d MiB: %v", budget>>20, err)
		}
	}
}

// serveManifest answers for a manifest that the registry of the fixture would not take.
func serveManifest(m fixture.Blob) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", m.Descriptor.MediaType)
			w.Header().Set("Docker-Content-Digest", string(digest.FromBytes(m.Data)))
			_, _ = w.Write(m.Data)
		})
	}
}

// Concatenated gzip members are one stream (RFC 1952, 2.2); pigz and some builders write them.
func TestGzipMembers(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	archive := fixture.Tar(fixture.File("f", noise(5, 5000), 0o644))
	l := fixture.LayerOf(fixture.Gzip, archive)
	l.Blob = append(gzipped(t, archive[:3000]), gzipped(t, archive[3000:])...)
	l.Descriptor.Digest, l.Descriptor.Size = digest.FromBytes(l.Blob), int64(len(l.Blob))
	reg.Push("a:1", fixture.Image{Layers: []fixture.Layer{l}})
	if _, err := fetch(t, st, reg.Ref("a:1")); err != nil {
		t.Fatal(err)
	}
}

// Every step that changes the disk fails once; the pull fails cleanly and the next one succeeds.
func TestEveryStepMayFail(t *testing.T) {
	reg := fixture.Serve(t)
	reg.Push("a:1", sample())
	var harmless bool
	var step string
	var fault syscall.Errno // a full disk and a full quota take turns
	count := func(st *store.Store, failAt int64) (steps int64, err error) {
		harmless, step = false, ""
		var n atomic.Int64
		restore := fsx.InjectFaults(func(op, path string) error {
			if op == "remove" || op == "lock" || op == "flock" {
				return nil // what cleans up is not what is tested here, and a lock is a hint that needs no space
			}
			if n.Add(1) == failAt {
				step = op + " " + path
				harmless = op == "append" && strings.HasSuffix(path, ".map") // what this pull has it has
				return &fs.PathError{Op: op, Path: path, Err: fault}
			}
			return nil
		})
		defer restore()
		_, err = fetch(t, st, reg.Ref("a:1"), func(o *options) { o.Parallel = 1 })
		return n.Load(), err
	}
	steps, err := count(newStore(t), -1)
	if err != nil || steps < 20 {
		t.Fatalf("%d steps, %v", steps, err)
	}
	for n := int64(1); n <= steps; n++ {
		st := newStore(t)
		fault = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT}[n%2]
		_, err := count(st, n)
		var full *pull.DiskFullError
		if err == nil && (harmless || step == "") {
			continue // or there were fewer steps: what is fetched ahead takes a few of its own
		}
		if !errors.As(err, &full) || full.Dir != st.Dirs().Layers {
			t.Errorf("step %d (%s) without space: %v, want a DiskFullError", n, step, err)
		} else if quota := fault == syscall.EDQUOT; quota != strings.Contains(full.Hint(), "quota") {
			t.Errorf("step %d: %v, hint: %s", n, err, full.Hint())
		}
		if err != nil && strings.Count(err.Error(), fault.Error()) != 1 {
			t.Errorf("step %d without space is not said once: %v", n, err)
		}
		clean(t, st)
		if _, err := fetch(t, st, reg.Ref("a:1")); err != nil {
			t.Errorf("after step %d had failed: %v", n, err)
		}
	}
}

func TestUnknownImages(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	reg.Push("a:1", sample())
	for _, name := range []string{"a:2", "b:1", "a@" + string(digest.FromString("nothing"))} {
		_, err := fetch(t, st, reg.Ref(name))
		var host *registry.HostError
		if !errors.Is(err, registry.ErrNotFound) || !errors.As(err, &host) || host.Hint() == "" {
			t.Errorf("%s: %v, want ErrNotFound with a hint", name, err)
		}
	}
	reg.Close()
	if _, err := fetch(t, st, reg.Ref("a:1")); !errors.Is(err, registry.ErrUnreachable) || !strings.Contains(fmt.Sprint(err), "refused") {
		t.Errorf("registry down: %v, want ErrUnreachable", err)
	}
}
