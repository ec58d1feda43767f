package readme

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/mlimage"
)

// images are what the README may pull. The key is the word in the README by which the test knows that an image is wanted;
// the value is its repository and tag at whichever registry.
var images = []struct {
	word, name string
	make       func(t *testing.T) fixture.Image
}{
	{"busybox", "library/busybox:latest", busybox},
	{"python:3.13-slim", "library/python:3.13-slim", learning},
	// Debian with Python and scikit-learn.
	{"ghcr.io/coracle-run/sklearn:1", "coracle-run/sklearn:1", learning},
}

// publish puts the images that the session names into the registry.
func publish(t *testing.T, reg *fixture.Registry, session []Command) {
	t.Helper()
	var text strings.Builder
	for _, c := range session {
		text.WriteString(c.Text + "\n")
	}
	for _, im := range images {
		if strings.Contains(text.String(), im.word) {
			reg.Push(im.name, im.make(t))
		}
	}
}

// learning is the machine-learning image, read from its layout into memory.
func learning(t *testing.T) fixture.Image {
	t.Helper()
	dir, err := mlimage.Small.Find()
	if err != nil {
		need.Missing(t, "mlimage", err.Error())
	}
	blob := func(d ocispec.Descriptor) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded()))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var index ocispec.Index
	var manifest ocispec.Manifest
	var config ocispec.Image
	raw, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if err != nil {
		t.Fatal(err)
	}
	unmarshal(t, raw, &index)
	unmarshal(t, blob(index.Manifests[0]), &manifest)
	unmarshal(t, blob(manifest.Config), &config)
	im := fixture.Image{Config: config.Config}
	for i, d := range manifest.Layers {
		im.Layers = append(im.Layers, fixture.Layer{Blob: blob(d), Descriptor: d, DiffID: config.RootFS.DiffIDs[i]})
	}
	return im
}

func unmarshal(t *testing.T, raw []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

func busybox(t *testing.T) fixture.Image {
	t.Helper()
	return fixture.Busybox(t)
}
