package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	st, err := store.Open(location.Dirs{Data: root, Layers: root})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// two is a store whose images and layers are in different places.
func two(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(location.Dirs{Data: filepath.Join(t.TempDir(), "data"), Layers: filepath.Join(t.TempDir(), "layers")})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// addLayer stores a layer with one file of this content; its digest is that of the content.
func addLayer(t *testing.T, st *store.Store, content string) digest.Digest {
	t.Helper()
	d := digest.FromString(content)
	if err := commit(t, st, content).Commit(describe(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func describe(content string) store.Layer {
	d := digest.FromString(content)
	return store.Layer{Digest: d, DiffID: digest.FromString("diff " + content), Size: int64(len(content)), Unpacked: int64(len(content)), Entries: 1}
}

func commit(t *testing.T, st *store.Store, content string) *store.Staging {
	t.Helper()
	staging, err := st.BeginLayer(digest.FromString(content))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(staging.FS(), "file"), content)
	return staging
}

// image makes an image of layers, which may or may not be stored.
func image(t *testing.T, ref string, layers ...digest.Digest) store.Image {
	t.Helper()
	img := store.Image{Ref: ref, Pulled: time.Now().UTC().Truncate(time.Second), Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	img.RawConfig = []byte(`{"os":"linux","architecture":"amd64","config":{"User":"` + ref + `"}}`)
	m := ocispec.Manifest{Config: ocispec.Descriptor{Digest: digest.FromBytes(img.RawConfig), Size: int64(len(img.RawConfig))}}
	for _, l := range layers {
		m.Layers = append(m.Layers, ocispec.Descriptor{Digest: l, Size: 10})
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	img.RawManifest, img.Digest = raw, digest.FromBytes(raw)
	return img
}

func put(t *testing.T, st *store.Store, img store.Image) store.Image {
	t.Helper()
	if err := st.Put(img); err != nil {
		t.Fatal(err)
	}
	return img
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// dead is a process that has been: this one's number with another start.
func dead(t *testing.T) host.Owner {
	t.Helper()
	owner, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	owner.StartTime += 2
	return owner
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestOpenIsPrivate(t *testing.T) {
	st := open(t)
	for _, dir := range []string{"", "images/refs", "images/sha256", "layers/sha256", "upper", "tmp"} {
		info, err := os.Stat(filepath.Join(st.Dirs().Data, dir))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%q: %v, %v; want mode 0700", dir, info, err)
		}
	}
	loose := t.TempDir()
	if err := os.Chmod(loose, 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(loose, "something"), "")
	if _, err := store.Open(location.Dirs{Data: loose, Layers: loose}); !errors.Is(err, location.ErrNotOwned) {
		t.Errorf("a directory everybody can write: %v, want ErrNotOwned", err)
	}
	fresh := t.TempDir()
	if err := os.Chmod(fresh, 0o775); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(location.Dirs{Data: fresh, Layers: fresh}); err != nil {
		t.Errorf("an empty directory its group can write: %v", err)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("it is %v, %v; want mode 0755", info.Mode(), err)
	}
	if _, err := store.Open(location.Dirs{Data: "relative", Layers: loose}); err == nil {
		t.Error("a relative path was accepted")
	}
}

func TestImages(t *testing.T) {
	st := two(t)
	layer := addLayer(t, st, "layer")
	a := put(t, st, image(t, "docker.io/library/a:1", layer))
	b := image(t, "host:5000/b@"+string(a.Digest), layer, digest.FromString("missing"))
	b.Index, b.Pulled = digest.FromString("index"), a.Pulled.Add(time.Hour)
	put(t, st, b)

	for _, name := range []string{a.Ref, string(a.Digest), a.Digest.Encoded(), a.Digest.Encoded()[:12], "other/name@" + string(a.Digest)} {
		got, err := st.Image(name)
		if err != nil || got.Digest != a.Digest || got.Config.Config.User != a.Ref || string(got.RawManifest) != string(a.RawManifest) {
			t.Errorf("Image(%q) = %s, %v", name, got.Digest, err)
		}
	}
	for _, name := range []string{b.Ref, string(b.Index)} {
		if got, err := st.Image(name); err != nil || got.Digest != b.Digest || got.Index != b.Index || !got.Pulled.Equal(b.Pulled) {
			t.Errorf("Image(%q) = %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "docker.io/library/a:2", "abc", "../../etc", string(digest.FromString("no")), "sha256:", a.Index.String()} {
		if _, err := st.Image(name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Image(%q): %v, want ErrNotFound", name, err)
		}
	}
	images, err := st.Images()
	if err != nil || len(images) != 2 || images[0].Ref != b.Ref || images[1].Ref != a.Ref {
		t.Fatalf("Images() = %v, %v; want b, a", images, err)
	}
	if images[1].Unpacked() != int64(len("layer")) || images[1].Size != 10 {
		t.Errorf("a has the sizes %d, %d", images[1].Size, images[1].Unpacked())
	}
	if got := st.Missing(images[0]); !slices.Equal(got, []digest.Digest{digest.FromString("missing")}) {
		t.Errorf("b misses %v", got)
	}
}

func TestReferenceMoves(t *testing.T) {
	st := open(t)
	old := put(t, st, image(t, "a:1"))
	moved := image(t, "a:1", digest.FromString("x"))
	put(t, st, moved)
	if got, err := st.Image("a:1"); err != nil || got.Digest != moved.Digest {
		t.Errorf("a:1 is %s, %v", got.Digest, err)
	}
	if got, err := st.Image(string(old.Digest)); err != nil || got.Ref != "" {
		t.Errorf("the old image: %q, %v; want it kept and without a reference", got.Ref, err)
	}
	if images, err := st.Images(); err != nil || len(images) != 2 {
		t.Errorf("%d images, %v", len(images), err)
	}
}

func TestAmbiguousID(t *testing.T) {
	st := open(t)
	byPrefix := map[string]int{}
	var shared string
	for i := 0; shared == "" && i < 5000; i++ { // two of some 300 share four digits
		img := image(t, "r:"+strings.Repeat("x", i))
		prefix := img.Digest.Encoded()[:4]
		if byPrefix[prefix]++; byPrefix[prefix] == 2 {
			shared = prefix
		}
	}
	for i := range 5000 {
		img := image(t, "r:"+strings.Repeat("x", i))
		if img.Digest.Encoded()[:4] == shared {
			put(t, st, img)
		}
		if images, _ := st.Images(); len(images) == 2 {
			break
		}
	}
	var ambiguous *store.AmbiguousError
	if _, err := st.Image(shared); !errors.As(err, &ambiguous) || !errors.Is(err, store.ErrAmbiguous) || len(ambiguous.Fits) != 2 {
		t.Errorf("Image(%q): %v, want two that fit", shared, err)
	}
}

func TestIndexOfSeveralPlatforms(t *testing.T) {
	foreign := ocispec.Platform{OS: "linux", Architecture: "s390x"}
	native := ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	for _, c := range []struct {
		name          string
		first, second ocispec.Platform
		want          string
	}{
		{"for this machine, pulled first", native, foreign, "r:1"},
		{"for this machine, pulled last", foreign, native, "r:2"},
		{"none for this machine", foreign, ocispec.Platform{OS: "linux", Architecture: "ppc64le"}, "r:2"},
	} {
		st := open(t)
		index := digest.FromString("index")
		for n, platform := range []ocispec.Platform{c.first, c.second} {
			img := image(t, fmt.Sprintf("r:%d", n+1))
			img.Index, img.Platform, img.Pulled = index, platform, img.Pulled.Add(time.Duration(n)*time.Hour)
			put(t, st, img)
		}
		for _, name := range []string{string(index), "r@" + string(index)} {
			if img, err := st.Image(name); err != nil || img.Ref != c.want {
				t.Errorf("%s: Image(%q) is %q, %v; want %s", c.name, name, img.Ref, err, c.want)
			}
		}
	}
}

func TestPutVerifies(t *testing.T) {
	st := open(t)
	good := image(t, "a:1")
	for name, change := range map[string]func(*store.Image){
		"another digest":       func(i *store.Image) { i.Digest = digest.FromString("x") },
		"a path for a digest":  func(i *store.Image) { i.Digest = "sha256:../../x" },
		"another config":       func(i *store.Image) { i.RawConfig = []byte("{}") },
		"a manifest not JSON":  func(i *store.Image) { i.RawManifest = []byte("<html>"); i.Digest = digest.FromBytes(i.RawManifest) },
		"a path for its layer": func(i *store.Image) { *i = image(t, "a:1", "sha256:../../x") },
	} {
		img := good
		change(&img)
		if err := st.Put(img); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if got := names(t, filepath.Join(st.Dirs().Data, "images/sha256")); len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
}

func TestDamagedImageIsRepairedByPut(t *testing.T) {
	st := open(t)
	for _, file := range []string{"manifest.json", "config.json", "image.json"} {
		img := put(t, st, image(t, "a:1"))
		path := filepath.Join(st.Dirs().Data, "images/sha256", img.Digest.Encoded(), file)
		write(t, path, "")
		if _, err := st.Image("a:1"); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s emptied: %v, want ErrCorrupt", file, err)
		}
		if images, err := st.Images(); err != nil || len(images) != 0 {
			t.Errorf("%s emptied: %d images, %v", file, len(images), err)
		}
		put(t, st, img)
		if _, err := st.Image("a:1"); err != nil {
			t.Errorf("%s after Put: %v", file, err)
		}
	}
}
