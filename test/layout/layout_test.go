package layout

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func written(t *testing.T) Image {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "oci")
	w, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, mediaType := range []string{ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd} {
		size, err := w.Layer("made of "+mediaType, mediaType, func(w io.Writer) error {
			_, err := io.WriteString(w, "archive of "+mediaType)
			return err
		})
		if err != nil || size == 0 {
			t.Fatal(size, err)
		}
	}
	if err := w.Finish(ocispec.ImageConfig{Cmd: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	image, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestWrittenIsRead(t *testing.T) {
	image := written(t)
	if len(image.Blobs()) != 2 || image.Config.Config.Cmd[0] != "x" || len(image.Config.History) != 2 {
		t.Errorf("got %+v", image)
	}
	var size int64
	for n, d := range image.Manifest.Layers {
		size += d.Size
		r, err := image.Layer(d)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || string(plain) != "archive of "+d.MediaType {
			t.Errorf("layer %d: %q, %v", n, plain, err)
		}
		if got := image.Config.RootFS.DiffIDs[n]; got != digest.FromBytes(plain) {
			t.Errorf("layer %d: its configuration says %s", n, got)
		}
	}
	if size != image.Size() {
		t.Errorf("size %d, want %d", image.Size(), size)
	}
}

func TestUnknownMediaType(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "oci"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Layer("", "text/plain", func(io.Writer) error { return nil }); err == nil {
		t.Error("a layer of text was made")
	}
}

func TestOpenByTag(t *testing.T) {
	image := written(t)
	index := `{"schemaVersion":2,"manifests":[
		{"mediaType":"a/b","size":1,"digest":"` + digest.FromString("x").String() + `","annotations":{"org.opencontainers.image.ref.name":"other"}},
		{"mediaType":"a/b","size":1,"digest":"` + image.Root.Digest.String() + `","annotations":{"org.opencontainers.image.ref.name":"wanted"}}]}`
	if err := os.WriteFile(filepath.Join(image.Dir, "index.json"), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := Open(image.Dir + ":wanted")
	if err != nil || opened.Root.Digest != image.Root.Digest || !slices.Equal(opened.Blobs(), image.Blobs()) {
		t.Errorf("got %+v, %v", opened, err)
	}
	if _, err := Open(image.Dir + ":absent"); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a tag that is not there: %v", err)
	}
	if _, err := Open("127.0.0.1:1/no:1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a reference taken for a layout: %v", err)
	}
}
