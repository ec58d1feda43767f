package catalog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/test/fixture"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(location.Dirs{Data: dir, Layers: dir})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func image(text string) fixture.Image {
	return fixture.Image{Layers: []fixture.Layer{
		fixture.NewLayer(fixture.Gzip, fixture.File("a", text, 0o644)), fixture.NewLayer(fixture.Zstd, fixture.File("b", text, 0o644)),
	}}
}

// saved is an archive of an image in a file.
func saved(t *testing.T, im fixture.Image, names ...string) string {
	t.Helper()
	img := store.Image{Digest: im.Manifest().Descriptor.Digest, RawManifest: im.Manifest().Data, RawConfig: im.ConfigBlob().Data}
	if err := json.Unmarshal(img.RawManifest, &img.Manifest); err != nil {
		t.Fatal(err)
	}
	s := archive.Saved{Image: img}
	for _, name := range names {
		ref, err := registry.ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		s.Names = append(s.Names, ref)
	}
	blobs := func(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
		for _, l := range im.Layers {
			if l.Descriptor.Digest == desc.Digest {
				return io.NopCloser(bytes.NewReader(l.Blob)), nil
			}
		}
		return nil, os.ErrNotExist
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	err := archive.WriteFile(path, func(w io.Writer) error {
		return archive.Save(t.Context(), w, archive.Docker, []archive.Saved{s}, blobs)
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// pulled pulls what a name means.
func pulled(t *testing.T, st *store.Store, text string, naming catalog.Naming, options pull.Options) store.Image {
	t.Helper()
	name, err := catalog.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	src, done, err := catalog.Source(t.Context(), st, registry.NewClient(registry.Options{}), name, naming)
	if err != nil {
		t.Fatal(err)
	}
	img, err := pull.Image(t.Context(), st, src, options)
	if err := errors.Join(err, done()); err != nil {
		t.Fatal(err)
	}
	return img
}

// text is the canonical form of a name.
func text(n catalog.Name) string {
	if n.IsArchive() {
		return n.Archive.String()
	}
	return n.Ref.String()
}

func TestParse(t *testing.T) {
	for name, want := range map[string]string{
		"debian:12":                   "docker.io/library/debian:12",
		"docker://ghcr.io/a/b":        "ghcr.io/a/b:latest",
		"docker-archive:x.tar:a:1":    "docker-archive:x.tar:a:1",
		"oci:dir":                     "oci:dir",
		"docker.io/library/oci:1":     "docker.io/library/oci:1",
		"localhost:5000/oci-archive":  "localhost:5000/oci-archive:latest",
		"docker://docker.io/debian:9": "docker.io/library/debian:9",
	} {
		if got, err := catalog.Parse(name); err != nil || text(got) != want || got.IsArchive() != (want == name && !strings.Contains(name, "/")) {
			t.Errorf("%s: %s (%v), %v; want %s", name, text(got), got.IsArchive(), err, want)
		}
	}
	for _, text := range []string{"", "UPPER", "https://example.org/a", "docker://docker://a", "oci:", "docker-archive::x"} {
		if _, err := catalog.Parse(text); !errors.Is(err, registry.ErrBadRef) && !errors.Is(err, archive.ErrBadName) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestFind finds one image by everything that it can be called.
func TestFind(t *testing.T) {
	st := open(t)
	im := image("a")
	img := pulled(t, st, "docker-archive:"+saved(t, im, "train:v1"), catalog.Take, pull.Options{})
	for text, key := range map[string]string{
		"train:v1": "docker.io/library/train:v1", "docker://train:v1": "docker.io/library/train:v1", "docker.io/library/train:v1": "docker.io/library/train:v1",
		string(img.Digest): string(img.Digest), img.Digest.Encoded()[:12]: img.Digest.Encoded()[:12], img.Digest.Encoded(): img.Digest.Encoded(),
		"train@" + string(img.Digest): "docker.io/library/train@" + string(img.Digest),
	} {
		got, gotKey, err := catalog.Find(st, text)
		if err != nil || got.Digest != img.Digest || gotKey != key {
			t.Errorf("%s: %s by %s, %v; want %s", text, got.Digest, gotKey, err, key)
		}
	}
	for text, want := range map[string]error{"train": store.ErrNotFound, "nosuch": store.ErrNotFound, "": store.ErrNotFound} {
		if _, _, err := catalog.Find(st, text); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, _, err := catalog.Find(st, "oci:dir"); !isArchive(err) {
		t.Errorf("an archive: %v", err)
	}
}

func isArchive(err error) bool {
	e, ok := errors.AsType[*catalog.ArchiveError](err)
	return ok && e.Hint() != ""
}

// TestNaming pulls another image by a name that is taken.
func TestNaming(t *testing.T) {
	first, second := image("first"), image("second")
	for naming, want := range map[catalog.Naming]digest.Digest{
		catalog.Take: second.Manifest().Descriptor.Digest, catalog.TakeFree: first.Manifest().Descriptor.Digest, catalog.TakeNoOne: first.Manifest().Descriptor.Digest,
	} {
		st := open(t)
		pulled(t, st, "docker-archive:"+saved(t, first, "train:v1"), naming, pull.Options{})
		img := pulled(t, st, "docker-archive:"+saved(t, first, "train:v1"), catalog.TakeFree, pull.Options{})
		if img.Ref != "docker.io/library/train:v1" {
			t.Errorf("%d: a free name is not taken: %q", naming, img.Ref)
		}
		if img := pulled(t, st, "docker-archive:"+saved(t, second, "train:v1"), naming, pull.Options{}); img.Digest != second.Manifest().Descriptor.Digest {
			t.Errorf("%d: pulled %s", naming, img.Digest)
		}
		if img, _, err := catalog.Find(st, "train:v1"); err != nil || img.Digest != want {
			t.Errorf("%d: the name means %s, %v; want %s", naming, img.Digest, err, want)
		}
	}
}

// TestTag gives names, and remembers where the image came from.
func TestTag(t *testing.T) {
	st := open(t)
	r := fixture.Serve(t)
	r.Push("a:1", image("a"))
	img := pulled(t, st, r.Ref("a:1"), catalog.Take, pull.Options{})
	if _, err := catalog.Tag(st, r.Ref("a:1"), "mine"); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Remove(r.Ref("a:1")); err != nil {
		t.Fatal(err)
	}
	if origins, err := st.Origins(img.Digest); err != nil || len(origins) != 1 || origins[0] != r.Ref("a:1") {
		t.Errorf("%v, %v", origins, err)
	}
	if refs, err := catalog.Repositories(st, img); err != nil || len(refs) != 2 || refs[0].String() != r.Ref("a:1") {
		t.Errorf("%v, %v", refs, err)
	}
	for _, target := range []string{"a@" + string(img.Digest), "UPPER", "oci:dir", ""} {
		if _, err := catalog.Tag(st, "mine", target); !errors.Is(err, registry.ErrBadRef) {
			t.Errorf("%q: %v", target, err)
		}
	}
}

// TestBlobs reads layers from the store, from a registry, from an archive, and from nowhere.
func TestBlobs(t *testing.T) {
	im := image("a")
	r := fixture.Serve(t)
	r.Push("a:1", im)
	path := saved(t, im, "train:v1")
	for _, c := range []blobsCase{
		{"kept", r.Ref("a:1"), true, nil, "", false},
		{"in the registry", r.Ref("a:1"), false, nil, "layers come from " + r.Ref("a:1"), false},
		{"in the archive", "docker-archive:" + path, false, nil, "layers come from docker-archive:" + path, false},
		{"the archive went", "docker-archive:" + path, false, func() error { return os.Rename(path, path+".gone") }, "", true},
		{"kept, and it went", "docker-archive:" + path + ".gone", true, func() error { return os.Remove(path + ".gone") }, "", false},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, im) })
	}
}

type blobsCase struct {
	name, text string
	keep       bool
	gone       func() error // what happens after the pull
	note       string       // that is told; "" for none
	fail       bool
}

func (c blobsCase) run(t *testing.T, im fixture.Image) {
	t.Helper()
	st := open(t)
	img := pulled(t, st, c.text, catalog.TakeNoOne, pull.Options{KeepBlobs: c.keep})
	if c.gone != nil {
		if err := c.gone(); err != nil {
			t.Fatal(err)
		}
	}
	var notes []string
	blobs := catalog.NewBlobs(st, registry.NewClient(registry.Options{}), func(text string) { notes = append(notes, text) }, img)
	defer func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	}()
	if absent := blobs.Absent(); (len(absent) == 0) != c.keep {
		t.Errorf("%d layers are absent", len(absent))
	}
	for n, l := range img.Manifest.Layers {
		blob, err := blobs.Open(t.Context(), l)
		if c.fail {
			e, ok := errors.AsType[*catalog.GoneError](err)
			if !ok || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), c.text) || e.Hint() == "" {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		raw, err := io.ReadAll(blob)
		if err := errors.Join(err, blob.Close()); err != nil || !bytes.Equal(raw, im.Layers[n].Blob) {
			t.Errorf("%d bytes of layer %d, %v", len(raw), n, err)
		}
	}
	if got := strings.Join(notes, "; "); got != c.note {
		t.Errorf("told %q, want %q", got, c.note)
	}
}

func TestInstruction(t *testing.T) {
	for created, want := range map[string]string{
		"/bin/sh -c #(nop)  CMD [\"sh\"]":               `CMD ["sh"]`,
		"/bin/sh -c apt-get update":                     "RUN apt-get update",
		"RUN /bin/sh -c apt-get update # buildkit":      "RUN apt-get update",
		"COPY a b # buildkit":                           "COPY a b",
		"RUN |1 A=b /bin/sh -c make # buildkit":         "RUN |1 A=b /bin/sh -c make",
		"":                                              "a comment",
		"umoci repack":                                  "umoci repack",
		"/bin/sh -c #(nop) ADD file:0123 in /         ": "ADD file:0123 in /",
	} {
		if got := (catalog.Stratum{CreatedBy: created, Comment: "a comment"}).Instruction(); got != want {
			t.Errorf("%q: %q, want %q", created, got, want)
		}
	}
}

// TestDissect does not give layers the history of others.
func TestDissect(t *testing.T) {
	for n, history := range [][]ocispec.History{
		nil,
		{{CreatedBy: "one"}},
		{{CreatedBy: "one"}, {CreatedBy: "two"}, {CreatedBy: "three"}},
		{{CreatedBy: "one"}, {CreatedBy: "empty", EmptyLayer: true}, {CreatedBy: "two"}, {CreatedBy: "empty", EmptyLayer: true}},
	} {
		st := open(t)
		im := image("a")
		im.History = history
		img := pulled(t, st, "docker-archive:"+saved(t, im), catalog.Take, pull.Options{})
		a, err := catalog.Dissect(t.Context(), st, img)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"", ""}
		if n == 3 {
			want = []string{"one", "two"}
		}
		for i, l := range a.Layers {
			if l.CreatedBy != want[i] || !l.Stored || l.Entries != 1 || l.HiddenBytes != 0 {
				t.Errorf("history %d: layer %d is %+v", n, i, l)
			}
		}
	}
}
