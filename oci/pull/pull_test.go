package pull_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/test/fixture"
)

// newStore is an empty store in a temporary directory.
func newStore(t *testing.T) *store.Store {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // no credentials of whoever runs the test
	t.Setenv("HOME", t.TempDir())
	root := filepath.Join(t.TempDir(), "store")
	st, err := store.Open(location.Dirs{Data: root, Layers: root})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// fetch pulls with short patience.
func fetch(t *testing.T, st *store.Store, name string, change ...func(*options)) (store.Image, error) {
	t.Helper()
	opts := options{Options: pull.Options{Pause: time.Millisecond}, registry: registry.Options{Pause: time.Millisecond, Stall: time.Minute}}
	for _, c := range change {
		c(&opts)
	}
	return pull.Image(t.Context(), st, source(t, name, opts.registry), opts.Options)
}

// options are those of a pull and of the client that it pulls with.
type options struct {
	pull.Options
	registry registry.Options
}

// source is an image in a registry.
func source(t *testing.T, name string, opts registry.Options) *registry.Source {
	t.Helper()
	ref, err := registry.ParseRef(name)
	if err != nil {
		t.Fatal(err)
	}
	return registry.NewClient(opts).Source(ref)
}

// clean fails the test if a failed pull has left anything but finished layers.
func clean(t *testing.T, st *store.Store) {
	t.Helper()
	for _, dir := range []string{"tmp", "upper", "locks"} {
		entries, err := os.ReadDir(filepath.Join(st.Dirs().Layers, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			t.Errorf("left behind: %s/%s", dir, e.Name())
		}
	}
}

// noise is content that does not compress, always the same for one seed.
func noise(seed uint64, size int) string {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // test data
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// sample is an image of three layers, one in each compression.
func sample() fixture.Image {
	im := made()
	im.Layers = slices.Clone(im.Layers)
	return im
}

var made = sync.OnceValue(func() fixture.Image {
	return fixture.Image{Layers: []fixture.Layer{
		fixture.NewLayer(fixture.Gzip, fixture.Dir("usr/", 0o755), fixture.File("usr/a", "A", 0o644), fixture.File("big", noise(1, 300<<10), 0o600)),
		fixture.NewLayer(fixture.Zstd, fixture.File("usr/b", "B", 0o755), fixture.Whiteout("usr", "a"), fixture.File("home", "h", 0o644).Own(1000, 1000)),
		fixture.NewLayer(fixture.Plain, fixture.Symlink("c", "usr/b")),
	}}
})

func TestImage(t *testing.T) {
	for _, docker := range []bool{false, true} {
		t.Run(map[bool]string{false: "oci", true: "docker"}[docker], func(t *testing.T) {
			reg, st := fixture.Serve(t), newStore(t)
			im := sample()
			im.Docker = docker
			if docker {
				im.Layers = im.Layers[:1] // docker has names for gzip only
			}
			im.Config.Env = []string{"A=b"}
			d := reg.Push("a/b:1", im)
			img, err := fetch(t, st, reg.Ref("a/b:1"))
			if err != nil {
				t.Fatal(err)
			}
			if img.Digest != d || img.Index != "" || img.Ref != reg.Ref("a/b:1") || img.Config.Config.Env[0] != "A=b" || img.Platform.Architecture != runtime.GOARCH {
				t.Errorf("unexpected image %+v", img)
			}
			if img.Size == 0 || img.Unpacked() == 0 || img.Pulled.IsZero() {
				t.Errorf("size %d, unpacked %d, pulled %v", img.Size, img.Unpacked(), img.Pulled)
			}
			raw, err := os.ReadFile(filepath.Join(st.LayerDir(img.Layers()[0]), "big"))
			if err != nil || string(raw) != noise(1, 300<<10) {
				t.Errorf("content differs (%v)", err)
			}
			clean(t, st)
		})
	}
}

func TestImageByDigestAndIndex(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	other := fixture.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "s390x"}, Layers: []fixture.Layer{fixture.NewLayer(fixture.Gzip, fixture.File("other", "x", 0o644))}}
	index := reg.PushIndex("multi:1", other, sample())
	img, err := fetch(t, st, reg.Ref("multi:1"))
	if err != nil {
		t.Fatal(err)
	}
	if img.Index != index || img.Digest != sample().Manifest().Descriptor.Digest {
		t.Errorf("index %s, digest %s; want %s, %s", img.Index, img.Digest, index, sample().Manifest().Descriptor.Digest)
	}
	foreign, err := fetch(t, st, reg.Ref("multi:1"), func(o *options) { o.Platform = "linux/s390x" })
	if err != nil {
		t.Fatal(err)
	}
	if foreign.Platform.Architecture != "s390x" || foreign.Digest == img.Digest {
		t.Errorf("got %+v", foreign.Platform)
	}
	if old, err := st.Image(string(img.Digest)); err != nil || old.Ref != "" {
		t.Errorf("the image of the other platform by digest: %q, %v; want it kept without a reference", old.Ref, err)
	}
	for _, d := range []digest.Digest{index, img.Digest} {
		got, err := fetch(t, st, reg.Ref("multi@"+string(d)))
		if err != nil || got.Digest != img.Digest {
			t.Errorf("by digest %s: %s, %v; want %s", d, got.Digest, err, img.Digest)
		}
	}
	_, err = fetch(t, st, reg.Ref("multi:1"), func(o *options) { o.Platform = "linux/riscv64" })
	var platform *registry.PlatformError
	if !errors.As(err, &platform) || !slices.Contains(platform.Have, "linux/s390x") {
		t.Errorf("error %v, want a PlatformError that lists linux/s390x", err)
	}
}

func TestStoredImageCostsNoMoreThanOneHead(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	d := reg.Push("a:1", sample())
	if _, err := fetch(t, st, reg.Ref("a:1")); err != nil {
		t.Fatal(err)
	}
	reg.Forget()
	if _, err := fetch(t, st, reg.Ref("a:1")); err != nil {
		t.Fatal(err)
	}
	if got := reg.Requests(); !slices.Equal(got, []string{"GET /v2/", "HEAD /v2/a/manifests/1"}) {
		t.Errorf("a stored tag costs %q", got)
	}
	reg.Forget()
	if _, err := fetch(t, st, reg.Ref("a@"+string(d))); err != nil {
		t.Fatal(err)
	}
	if got := reg.Requests(); len(got) != 0 {
		t.Errorf("a stored digest costs %q", got)
	}
}

func TestSharedLayersAreFetchedOnce(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	shared := fixture.NewLayer(fixture.Gzip, fixture.File("shared", "x", 0o644))
	reg.Push("a:1", fixture.Image{Layers: []fixture.Layer{shared, shared}})
	reg.Push("b:1", fixture.Image{Layers: []fixture.Layer{shared, fixture.NewLayer(fixture.Gzip, fixture.File("own", "y", 0o644))}})
	for _, name := range []string{"a:1", "b:1"} {
		if _, err := fetch(t, st, reg.Ref(name)); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, r := range reg.Requests() {
		if strings.Contains(r, string(shared.Descriptor.Digest)) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the shared layer was asked for %d times", n)
	}
}

func TestTagMoves(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	old := reg.Push("a:1", sample())
	if _, err := fetch(t, st, reg.Ref("a:1")); err != nil {
		t.Fatal(err)
	}
	moved := reg.Push("a:1", fixture.Image{Layers: sample().Layers[:1]})
	img, err := fetch(t, st, reg.Ref("a:1"))
	if err != nil || img.Digest != moved {
		t.Fatalf("%s, %v; want %s", img.Digest, err, moved)
	}
	if _, err := st.Image(string(old)); err != nil {
		t.Errorf("the old image by digest: %v", err)
	}
}

// Many pulls of one image at once, as ranks of a job would do from their processes, all succeed and leave one copy.
func TestPullsAtOnce(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	reg.Push("a:1", sample())
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			again, err := store.Open(st.Dirs())
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := fetch(t, again, reg.Ref("a:1")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	blobs := 0
	for _, r := range reg.Requests() {
		if strings.Contains(r, "/blobs/") && !strings.Contains(r, string(sample().ConfigBlob().Descriptor.Digest)) {
			blobs++
		}
	}
	if blobs != 3 {
		t.Errorf("3 layers were asked for %d times", blobs)
	}
	manifests := 0
	for _, r := range reg.Requests() {
		if strings.HasPrefix(r, "GET ") && strings.Contains(r, "/manifests/") {
			manifests++
		}
	}
	if manifests != 1 {
		t.Errorf("the manifest, which registries count, was asked for %d times", manifests)
	}
	clean(t, st)
}

// total is how many bytes have come.
func (r *recorder) total() (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, came := range r.bytes {
		n += came
	}
	return n
}

// recorder is a Progress that remembers.
type recorder struct {
	mu    sync.Mutex
	lines []string
	bytes map[string]int64

	unpacked, entries map[string]int64
}

func (r *recorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}
func (r *recorder) Resolved(ref, d string)           { r.add("resolved %s", d) }
func (r *recorder) LayerExists(d string, size int64) { r.add("exists %s %d", d, size) }
func (r *recorder) LayerStarted(d string, n int64)   { r.add("started %s %d", d, n) }
func (r *recorder) LayerDone(d string)               { r.add("done %s", d) }
func (r *recorder) Note(text string)                 { r.add("note %s", text) }
func (r *recorder) LayerPlanned(d string, n int64)   { r.add("planned %s %d", d, n) }
func (r *recorder) LayerResumed(d string, n int64)   { r.LayerRead(d, n) }
func (r *recorder) LayerUnpacked(d string, n, entries int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unpacked == nil {
		r.unpacked, r.entries = map[string]int64{}, map[string]int64{}
	}
	r.unpacked[d] += n
	r.entries[d] += entries
}
func (r *recorder) LayerRead(d string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes == nil {
		r.bytes = map[string]int64{}
	}
	r.bytes[d] += n
}

func TestProgress(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	im := sample()
	d := reg.Push("a:1", im)
	for _, verb := range []string{"started", "exists"} {
		rec := &recorder{}
		if _, err := fetch(t, st, reg.Ref("a:1"), func(o *options) { o.Progress, o.Parallel = rec, 1 }); err != nil {
			t.Fatal(err)
		}
		if rec.lines[0] != "resolved "+string(d) {
			t.Errorf("first line %q", rec.lines[0])
		}
		if verb == "started" {
			for n, l := range im.Layers {
				if want := fmt.Sprintf("planned %s %d", l.Descriptor.Digest, l.Descriptor.Size); rec.lines[1+n] != want {
					t.Errorf("line %d is %q, want %q", 1+n, rec.lines[1+n], want)
				}
			}
			rec.lines = slices.Delete(rec.lines, 1, 1+len(im.Layers))
		}
		largest := slices.MaxFunc(im.Layers, func(a, b fixture.Layer) int { return int(a.Descriptor.Size - b.Descriptor.Size) })
		if want := fmt.Sprintf("%s %s %d", verb, largest.Descriptor.Digest, largest.Descriptor.Size); rec.lines[1] != want {
			t.Errorf("second line %q, want %q: the largest layer first", rec.lines[1], want)
		}
		for _, l := range im.Layers {
			d := string(l.Descriptor.Digest)
			if verb == "started" && (rec.bytes[d] != l.Descriptor.Size || rec.unpacked[d] != l.Descriptor.Size || rec.entries[d] == 0) {
				t.Errorf("layer of %d bytes: %d reported, %d of them and %d entries unpacked", l.Descriptor.Size, rec.bytes[d], rec.unpacked[d], rec.entries[d])
			}
		}
	}
}

func TestCancel(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	reg.Push("a:1", sample())
	ctx, cancel := context.WithCancel(t.Context())
	reg.Intercept(hang(func() { cancel() }))
	if _, err := pull.Image(ctx, st, source(t, reg.Ref("a:1"), registry.Options{}), pull.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	clean(t, st)
	if _, err := st.Image(reg.Ref("a:1")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a cancelled pull has stored an image (%v)", err)
	}
}

func TestBlob(t *testing.T) {
	reg := fixture.Serve(t)
	im := sample()
	reg.Push("a:1", im)
	good := im.Layers[0].Descriptor
	bad := good
	bad.Size--
	for _, c := range []struct {
		desc ocispec.Descriptor
		want error
	}{{good, nil}, {bad, registry.ErrDigest}} {
		blob := pull.Blob(t.Context(), source(t, reg.Ref("a:1"), registry.Options{}), c.desc, nil)
		raw, err := io.ReadAll(blob)
		if !errors.Is(err, c.want) || c.want == nil && !slices.Equal(raw, im.Layers[0].Blob) {
			t.Errorf("%d bytes, %v; want %v", len(raw), err, c.want)
		}
		if err := blob.Close(); err != nil {
			t.Error(err)
		}
	}
	reg.Intercept(falsify(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }))
	if _, err := io.ReadAll(pull.Blob(t.Context(), source(t, reg.Ref("a:1"), registry.Options{}), good, nil)); !errors.Is(err, registry.ErrDigest) {
		t.Errorf("a wrong last byte: %v, want ErrDigest", err)
	}
}
