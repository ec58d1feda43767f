package readme

import (
	"os"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/layout"
	"github.com/coracle-run/coracle/test/mlimage"
)

// images are what the README may pull. The key is the word in the README by which the test knows that an image is wanted;
// the value is its repository and tag at whichever registry.
var images = []struct {
	word, name string
	make       func(t *testing.T) fixture.Image
}{
	{"busybox", "library/busybox:latest", busybox},
	// Debian with Python and scikit-learn.
	{"python:3.13-slim", "library/python:3.13-slim", learning},
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
	image, err := layout.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	im := fixture.Image{Config: image.Config.Config}
	for i, d := range image.Manifest.Layers {
		raw, err := os.ReadFile(image.Blob(d.Digest))
		if err != nil {
			t.Fatal(err)
		}
		im.Layers = append(im.Layers, fixture.Layer{Blob: raw, Descriptor: d, DiffID: image.Config.RootFS.DiffIDs[i]})
	}
	return im
}

func busybox(t *testing.T) fixture.Image {
	t.Helper()
	return fixture.Busybox(t)
}
