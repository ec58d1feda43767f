package store_test

import (
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coracle-run/coracle/oci/store"
)

func putAs(t *testing.T, st *store.Store, img store.Image, ref, from string) {
	t.Helper()
	img.Ref, img.From = ref, from
	if err := st.Put(img); err != nil {
		t.Fatal(err)
	}
}

// TestOriginsOfAnImage stores one image under several references and under none.
func TestOriginsOfAnImage(t *testing.T) {
	st := open(t)
	img := image(t, "example.org/a:1")
	for _, c := range []struct {
		ref, from string
		want      []string
	}{
		{"", "oci:/first", []string{"oci:/first"}},
		{"", "", []string{"oci:/first"}},
		{"", "oci:/second", []string{"oci:/second"}},
		{"example.org/a:1", "", []string{"example.org/a:1", "oci:/second"}},
		{"example.org/b:1", "example.org/a:1", []string{"example.org/a:1", "oci:/second"}},
	} {
		putAs(t, st, img, c.ref, c.from)
		got, err := st.Origins(img.Digest)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("after %q from %q: %v, %v; want %v", c.ref, c.from, got, err, c.want)
		}
	}
	if got, err := st.Image(string(img.Digest)); err != nil || got.Digest != img.Digest {
		t.Errorf("by digest: %v, %v", got.Digest, err)
	}
	if _, err := st.Origins("sha256:../../x"); err == nil {
		t.Error("a path is no digest")
	}
}

func TestImageWithoutReferenceIsListed(t *testing.T) {
	st := open(t)
	putAs(t, st, image(t, ""), "", "")
	images, err := st.Images()
	if err != nil || len(images) != 1 || images[0].Ref != "" {
		t.Errorf("%v, %v", images, err)
	}
}

// TestScratchLeavesNothing reads back what was written and looks for what is left.
func TestScratchLeavesNothing(t *testing.T) {
	st := open(t)
	f, err := st.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, 0, 4))
	if err != nil || string(raw) != "text" {
		t.Errorf("%q, %v", raw, err)
	}
	entries, err := os.ReadDir(st.Dirs().Layers + "/tmp")
	if err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestAnnounceOnce has many ask at once who is to tell of an image.
func TestAnnounceOnce(t *testing.T) {
	st := open(t)
	img := image(t, "example.org/a:1")
	putAs(t, st, img, "example.org/a:1", "")
	for _, ref := range []string{"example.org/a:1", "example.org/b:1"} {
		img.Ref = ref
		var told atomic.Int32
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				if st.Announce(img) {
					told.Add(1)
				}
			})
		}
		if group.Wait(); told.Load() != 1 {
			t.Errorf("%s: %d were to tell", ref, told.Load())
		}
	}
	if _, err := st.Remove(string(img.Digest)); err != nil {
		t.Fatal(err)
	}
	if st.Announce(img) {
		t.Error("there is nothing to tell of an image that is gone")
	}
}
