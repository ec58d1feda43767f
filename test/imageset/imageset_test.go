package imageset

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/test/layout"
)

// small is a shape that takes no time.
var small = shape{"small", "for tests", [][]part{{{files: 120, mean: 9000, perDir: 50}, {files: 2, mean: 300_000, perDir: 2}}, {{files: 3, mean: 100, perDir: 1}}}}

func written(t *testing.T, s shape) layout.Image {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "oci")
	if err := s.write(dir); err != nil {
		t.Fatal(err)
	}
	image, err := layout.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestShapeIsTheSameEachTime(t *testing.T) {
	first, second := written(t, small), written(t, small)
	if first.Root.Digest != second.Root.Digest || first.Root.Digest == "" {
		t.Errorf("%s and %s", first.Root.Digest, second.Root.Digest)
	}
	for n, d := range first.Manifest.Layers {
		raw, err := os.ReadFile(first.Blob(d.Digest))
		if err != nil || digest.FromBytes(raw) != d.Digest || int64(len(raw)) != d.Size {
			t.Errorf("layer %d: %d bytes, %v; not what its descriptor says", n, len(raw), err)
		}
		r, err := first.Layer(d)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := digest.FromReader(r)
		if err = errors.Join(err, r.Close()); err != nil || plain != first.Config.RootFS.DiffIDs[n] {
			t.Errorf("layer %d: %s unpacked, %v; the configuration says %s", n, plain, err, first.Config.RootFS.DiffIDs[n])
		}
	}
}

func TestCount(t *testing.T) {
	image := written(t, small)
	got, err := Count(image.Dir)
	if err != nil {
		t.Fatal(err)
	}
	// Each layer has opt and its own directory, each part one, and one for each perDir files.
	if want := int64(120 + 2 + 3 + 2*2 + 3 + 3 + 1 + 3); got.Entries != want {
		t.Errorf("%d entries, want %d", got.Entries, want)
	}
	if rounding := got.Blocks - got.Bytes; rounding <= 0 || rounding >= 125*block || got.Blocks%block != 0 {
		t.Errorf("%+v: blocks of %d bytes do not hold that", got, block)
	}
	if err := keepContents(image.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(image.Dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	if kept, err := Count(image.Dir); err != nil || kept != got {
		t.Errorf("kept is %+v, %v", kept, err)
	}
}

// TestContentIsLikeSoftware holds the made-up bytes to what gzip makes of real images: to between 0.4 and 0.6.
func TestContentIsLikeSoftware(t *testing.T) {
	var archive, packed bytes.Buffer
	if err := writeLayer(&archive, 7, []part{{files: 300, mean: 50_000, perDir: 30}}); err != nil {
		t.Fatal(err)
	}
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(archive.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if share := float64(packed.Len()) / float64(archive.Len()); share < 0.4 || share > 0.6 {
		t.Errorf("gzip leaves %.2f", share)
	}
	if mean := float64(archive.Len()) / 300; mean < 35_000 || mean > 65_000 {
		t.Errorf("files of %.0f bytes", mean)
	}
}

func TestEveryEntryHasItsParent(t *testing.T) {
	var archive bytes.Buffer
	if err := writeLayer(&archive, 1, small.layers[0]); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{".": true}
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		if there[name] || !there[filepath.Dir(name)] {
			t.Fatalf("%s comes twice or before its directory", h.Name)
		}
		there[name] = true
	}
}

func TestNamed(t *testing.T) {
	all, err := Named("all")
	if err != nil || len(all) < 6 {
		t.Errorf("%d sets, %v", len(all), err)
	}
	some, err := Named("fat,ml")
	if err != nil || len(some) != 2 || some[0].Name != "fat" || some[1].Name != "ml" {
		t.Errorf("got %+v, %v", some, err)
	}
	if _, err := Named("fat,,ml"); err == nil || !strings.Contains(err.Error(), "small40") {
		t.Errorf("a set without a name: %v", err)
	}
}

func TestEnsureMakesOnce(t *testing.T) {
	t.Setenv("CORACLE_TEST_CACHE", t.TempDir())
	made := small.set()
	if _, err := made.Find(); !errors.Is(err, ErrMissing) {
		t.Errorf("an empty cache: %v", err)
	}
	dir, err := made.Ensure(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := made.Ensure(t.Context(), io.Discard)
	after, statErr := os.Stat(dir)
	if err != nil || statErr != nil || again != dir || !os.SameFile(before, after) {
		t.Errorf("made again: %s, %v, %v", again, err, statErr)
	}
}
