package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestImagesAreListed(t *testing.T) {
	t.Setenv("CORACLE_TEST_CACHE", t.TempDir())
	image := small(t)
	var out bytes.Buffer
	// What is in the layers is no archive; that they are looked into shows in the error.
	if err := bench(t.Context(), []string{"images", "-image", image.Dir}, &out, io.Discard); err == nil {
		t.Errorf("layers without an archive: %s", out.String())
	}
	text := listing([]subject{{name: "small", image: image}}, []skip{{"mlbig", "the image is not built"}})
	for _, want := range []string{"\nsmall       3  ", "\nmlbig       -  ", image.Dir, "the image is not built"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
