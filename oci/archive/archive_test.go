package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/test/fixture"
)

// sample is an image of three layers, one of each compression.
func sample(text string) fixture.Image {
	return fixture.Image{
		Layers: []fixture.Layer{
			fixture.NewLayer(fixture.Gzip, fixture.Dir("etc", 0o755), fixture.File("etc/motd", text, 0o644)),
			fixture.NewLayer(fixture.Zstd, fixture.File("etc/zstd", text+"z", 0o644)),
			fixture.NewLayer(fixture.Plain, fixture.File("etc/plain", text+"p", 0o644)),
		},
		Config: ocispec.ImageConfig{Cmd: []string{"sh"}},
	}
}

// stored is the image as the store has it, and what opens its layers.
func stored(t *testing.T, im fixture.Image) (store.Image, archive.Blobs) {
	t.Helper()
	img := store.Image{
		Digest: im.Manifest().Descriptor.Digest, RawManifest: im.Manifest().Data, RawConfig: im.ConfigBlob().Data,
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
	}
	for raw, v := range map[string]any{string(img.RawManifest): &img.Manifest, string(img.RawConfig): &img.Config} {
		if err := json.Unmarshal([]byte(raw), v); err != nil {
			t.Fatal(err)
		}
	}
	return img, func(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
		for _, l := range im.Layers {
			if l.Descriptor.Digest == desc.Digest {
				return io.NopCloser(bytes.NewReader(l.Blob)), nil
			}
		}
		return nil, errors.New("no such layer")
	}
}

func refs(t *testing.T, names ...string) []registry.Ref {
	t.Helper()
	var all []registry.Ref
	for _, name := range names {
		ref, err := registry.ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ref)
	}
	return all
}

// saved is an archive of one image.
func saved(t *testing.T, kind archive.Transport, im fixture.Image, names ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	img, blobs := stored(t, im)
	if err := archive.Save(t.Context(), &buf, kind, []archive.Saved{{Image: img, Names: refs(t, names...)}}, blobs); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// scratch makes the files that archives are copied to.
func scratch(t *testing.T) func() (*os.File, error) {
	t.Helper()
	return func() (*os.File, error) { return os.CreateTemp(t.TempDir(), "") }
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func opened(t *testing.T, text string) *archive.Archive {
	t.Helper()
	name, ok, err := archive.ParseName(text)
	if !ok || err != nil {
		t.Fatal(text, ok, err)
	}
	a, err := archive.Open(t.Context(), name, archive.Options{Scratch: scratch(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// resolved reads the image of an archive, and all of its layers.
func resolved(t *testing.T, a *archive.Archive) registry.Resolved {
	t.Helper()
	r, err := resolve(t, a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func resolve(t *testing.T, a *archive.Archive) (registry.Resolved, error) {
	t.Helper()
	image, err := a.Image()
	if err != nil {
		return registry.Resolved{}, err
	}
	src := a.Source(image, "", "")
	d, err := src.Digest(t.Context())
	if err != nil {
		return registry.Resolved{}, err
	}
	want, err := registry.ParsePlatform("")
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Resolve(t.Context(), d, want)
	if err != nil {
		return r, err
	}
	for _, l := range r.Manifest.Layers {
		for _, start := range []int64{0, l.Size / 2} {
			blob, err := src.Open(t.Context(), l, start, l.Size-start)
			if err != nil {
				return r, err
			}
			raw, err := io.ReadAll(blob)
			if err := errors.Join(err, blob.Close()); err != nil {
				return r, err
			}
			if start == 0 && digest.FromBytes(raw) != l.Digest {
				return r, registry.ErrDigest
			}
			if int64(len(raw)) != l.Size-start {
				t.Errorf("layer %s: %d bytes from %d on, of %d", l.Digest, len(raw), start, l.Size)
			}
		}
	}
	return r, nil
}

// item is an entry of an archive that a test makes by hand.
type item struct {
	name, body, link string
	kind             byte
}

func tarOf(t *testing.T, items ...item) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Linkname: i.link, Typeflag: i.kind, Size: int64(len(i.body)), Mode: 0o644}
		if i.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, i.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// oldDocker is what docker wrote before version 25: layers in directories, repeated ones as links. The image has three
// layers, of which two are the same.
func oldDocker(t *testing.T, layer, config string) []item {
	t.Helper()
	return []item{
		{name: "aaaa/", kind: tar.TypeDir},
		{name: "aaaa/VERSION", body: "1.0"},
		{name: "aaaa/layer.tar", body: layer},
		{name: "bbbb/layer.tar", link: "../aaaa/layer.tar", kind: tar.TypeSymlink},
		{name: "cccc/layer.tar", link: "aaaa/layer.tar", kind: tar.TypeLink},
		{name: "0123.json", body: config},
		{name: "manifest.json", body: `[{"Config":"0123.json","RepoTags":["old:1","example.org/old:2"],"Layers":["aaaa/layer.tar","bbbb/layer.tar","cccc/layer.tar"]}]`},
		{name: "repositories", body: `{"old":{"1":"cccc"}}`},
	}
}

// plainLayer is a tar archive with one file, and a configuration of an image that has it three times.
func plainLayer(t *testing.T) (layer, config string) {
	t.Helper()
	l := fixture.NewLayer(fixture.Plain, fixture.File("file", strings.Repeat("text ", 1000), 0o644))
	im := fixture.Image{Layers: []fixture.Layer{l, l, l}, Docker: true}
	return string(l.Blob), string(im.ConfigBlob().Data)
}

func TestParseName(t *testing.T) {
	for text, want := range map[string]archive.Name{
		"docker-archive:/a/b.tar":            {Transport: archive.Docker, Path: "/a/b.tar"},
		"docker-archive:b.tar:busybox:1.36":  {Transport: archive.Docker, Path: "b.tar", Image: "busybox:1.36"},
		"docker-archive:b.tar:@2":            {Transport: archive.Docker, Path: "b.tar", Image: "@2"},
		"oci:dir":                            {Transport: archive.OCI, Path: "dir"},
		"oci:dir:latest":                     {Transport: archive.OCI, Path: "dir", Image: "latest"},
		"oci-archive:x.tar:docker.io/a/b:v1": {Transport: archive.OCIArchive, Path: "x.tar", Image: "docker.io/a/b:v1"},
	} {
		got, ok, err := archive.ParseName(text)
		if !ok || err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v, %v", text, got, ok, err)
		}
	}
	for _, text := range []string{"busybox", "oci", "docker-archive", "docker://busybox", "localhost:5000/oci:1", "dir:x"} {
		if _, ok, err := archive.ParseName(text); ok || err != nil {
			t.Errorf("%s: taken for an archive (%v)", text, err)
		}
	}
	for _, text := range []string{"oci:", "docker-archive:", "docker-archive::x", "oci:dir:", "oci:a\x00b"} {
		if _, ok, err := archive.ParseName(text); !ok || !errors.Is(err, archive.ErrBadName) {
			t.Errorf("%q: %v, %v", text, ok, err)
		}
	}
}

// TestOldDockerArchive reads one without manifests, and gets the same made one each time.
func TestOldDockerArchive(t *testing.T) {
	layer, config := plainLayer(t)
	path := write(t, tarOf(t, oldDocker(t, layer, config)...))
	a := opened(t, "docker-archive:"+path)
	image, err := a.Image()
	if err != nil || !image.Made || len(image.Names) != 2 {
		t.Fatalf("%+v, %v", image, err)
	}
	r := resolved(t, a)
	for _, l := range r.Manifest.Layers {
		if l.Digest != digest.FromString(layer) || l.Size != int64(len(layer)) || l.MediaType != "application/vnd.docker.image.rootfs.diff.tar" {
			t.Errorf("layer %+v", l)
		}
	}
	if r.Manifest.MediaType != "application/vnd.docker.distribution.manifest.v2+json" || r.Manifest.Config.Digest != digest.FromString(config) || r.Index != "" {
		t.Errorf("%+v", r.Manifest)
	}
	if again := resolved(t, opened(t, "docker-archive:"+path+":example.org/old:2")); again.Digest != r.Digest {
		t.Errorf("%s, and then %s", r.Digest, again.Digest)
	}
}

// TestOldDockerArchiveWithCompressedLayers is what other tools than docker write.
func TestOldDockerArchiveWithCompressedLayers(t *testing.T) {
	im := sample("a")
	config := im.ConfigBlob().Data
	path := write(t, tarOf(t,
		item{name: "./config.json", body: string(config)}, item{name: "./a.tar.gz", body: string(im.Layers[0].Blob)},
		item{name: "./b.tar.zst", body: string(im.Layers[1].Blob)}, item{name: "./c.tar", body: string(im.Layers[2].Blob)},
		item{name: "./manifest.json", body: `[{"Config":"config.json","Layers":["a.tar.gz","b.tar.zst","c.tar"]}]`},
	))
	r := resolved(t, opened(t, "docker-archive:"+path))
	for n, l := range r.Manifest.Layers {
		if l.Digest != im.Layers[n].Descriptor.Digest {
			t.Errorf("layer %d: %s, want %s", n, l.Digest, im.Layers[n].Descriptor.Digest)
		}
	}
}

// TestDigestsStay saves images and reads them again, in every form.
func TestDigestsStay(t *testing.T) {
	im := sample("a")
	want := im.Manifest().Descriptor.Digest
	docker, oci := write(t, saved(t, archive.Docker, im, "busybox:1", "example.org/b:2")), write(t, saved(t, archive.OCIArchive, im, "busybox:1"))
	img, blobs := stored(t, im)
	dir := filepath.Join(t.TempDir(), "layout")
	if err := archive.SaveDir(t.Context(), dir, []archive.Saved{{Image: img, Names: refs(t, "busybox:1")}}, blobs); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"docker-archive:" + docker, "docker-archive:" + docker + ":busybox:1", "docker-archive:" + docker + ":example.org/b:2", "docker-archive:" + docker + ":@0",
		"oci-archive:" + docker + ":1", "oci-archive:" + oci, "oci-archive:" + oci + ":1", "oci-archive:" + oci + ":docker.io/library/busybox:1",
		"oci:" + dir, "oci:" + dir + ":busybox:1",
	} {
		a := opened(t, text)
		if r := resolved(t, a); r.Digest != want || !bytes.Equal(r.RawManifest, img.RawManifest) {
			t.Errorf("%s: %s, want %s", text, r.Digest, want)
		}
		image, err := a.Image()
		if err != nil || image.Made || image.Names[0].Familiar() != "busybox:1" {
			t.Errorf("%s: %+v, %v", text, image, err)
		}
	}
}

// TestSaveSaysTheSame writes twice, and writes what was read.
func TestSaveSaysTheSame(t *testing.T) {
	first, second := saved(t, archive.Docker, sample("a"), "a:1"), saved(t, archive.Docker, sample("a"), "a:1")
	if !bytes.Equal(first, second) {
		t.Error("two archives of one image differ")
	}
}

func TestSaveStopsAtWrongBytes(t *testing.T) {
	img, _ := stored(t, sample("a"))
	for name, blob := range map[string]string{"short": "", "long": strings.Repeat("x", 1<<16), "other": strings.Repeat("x", int(img.Manifest.Layers[0].Size))} {
		blobs := func(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(blob)), nil
		}
		err := archive.Save(t.Context(), io.Discard, archive.Docker, []archive.Saved{{Image: img}}, blobs)
		if !errors.Is(err, registry.ErrDigest) {
			t.Errorf("%s: %v", name, err)
		}
		dir := filepath.Join(t.TempDir(), "layout")
		if err := archive.SaveDir(t.Context(), dir, []archive.Saved{{Image: img}}, blobs); !errors.Is(err, registry.ErrDigest) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}

// TestPackedAndPiped reads archives that cannot be read in any order.
func TestPackedAndPiped(t *testing.T) {
	plain := saved(t, archive.Docker, sample("a"), "a:1")
	var gz, zst bytes.Buffer
	w := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{w, z} {
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for kind, data := range map[string][]byte{"plain": append(plain, make([]byte, 10240)...), "gzip": gz.Bytes(), "zstd": zst.Bytes()} {
		want := sample("a").Manifest().Descriptor.Digest
		if r := resolved(t, opened(t, "docker-archive:"+write(t, data))); r.Digest != want {
			t.Errorf("%s: %s", kind, r.Digest)
		}
		rest := bytes.NewReader(data)
		a, err := archive.Open(t.Context(), archive.Name{Path: "stdin"}, archive.Options{Scratch: scratch(t), Stream: rest})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if r := resolved(t, a); r.Digest != want || rest.Len() > 0 {
			t.Errorf("%s through a pipe: %s, %d bytes unread", kind, r.Digest, rest.Len())
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestChoice names images of an archive that has several.
func TestChoice(t *testing.T) {
	var buf bytes.Buffer
	one, blobs := stored(t, sample("one"))
	two, more := stored(t, sample("two"))
	all := func(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
		if r, err := blobs(ctx, d); err == nil {
			return r, nil
		}
		return more(ctx, d)
	}
	images := []archive.Saved{{Image: one, Names: refs(t, "one:v1", "one:latest")}, {Image: two, Names: refs(t, "two:v2", "two:latest")}}
	if err := archive.Save(t.Context(), &buf, archive.Docker, images, all); err != nil {
		t.Fatal(err)
	}
	path := write(t, buf.Bytes())
	for name, want := range map[string]digest.Digest{
		":one:v1": one.Digest, ":one": one.Digest, ":two": two.Digest, ":docker.io/library/two:v2": two.Digest, ":@0": one.Digest, ":@1": two.Digest, ":v2": two.Digest,
	} {
		if r := resolved(t, opened(t, "docker-archive:"+path+name)); r.Digest != want {
			t.Errorf("%s: %s, want %s", name, r.Digest, want)
		}
	}
	for _, name := range []string{"", ":three", ":@2", ":latest", ":@x", ":one@sha256:" + strings.Repeat("0", 64)} {
		a := opened(t, "docker-archive:"+path+name)
		_, err := a.Image()
		if missing, ok := errors.AsType[*archive.NoImageError](err); !ok || !slices.Contains(missing.Have, "one:v1") || missing.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
		if len(a.Images()) != 2 {
			t.Errorf("%s: %d images", name, len(a.Images()))
		}
	}
}

// TestPlatformsOfALayout reads layouts whose index names an image for several platforms, directly and through an index.
func TestPlatformsOfALayout(t *testing.T) {
	mine, other := sample("mine"), sample("other")
	other.Platform = ocispec.Platform{OS: "linux", Architecture: "s390x"}
	items := []item{{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`}}
	blob := func(data []byte) {
		items = append(items, item{name: "blobs/sha256/" + digest.FromBytes(data).Encoded(), body: string(data)})
	}
	for _, im := range []fixture.Image{other, mine} {
		blob(im.Manifest().Data)
		blob(im.ConfigBlob().Data)
		for _, l := range im.Layers {
			blob(l.Blob)
		}
	}
	nested := fixture.Index(other, mine)
	blob(nested.Data)
	direct := string(nested.Data)
	through, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{nested.Descriptor}})
	if err != nil {
		t.Fatal(err)
	}
	for text, index := range map[string]digest.Digest{direct: "", string(through): nested.Descriptor.Digest} {
		path := write(t, tarOf(t, append(items, item{name: "index.json", body: text})...))
		r := resolved(t, opened(t, "oci-archive:"+path))
		if r.Digest != mine.Manifest().Descriptor.Digest || r.Index != index {
			t.Errorf("%s of %s", r.Digest, r.Index)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
