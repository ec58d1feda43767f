package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
)

func keeps(st *store.Store, img store.Image) bool {
	_, here := st.Keep(img)
	return here
}

// TestKeep: a run that has its lease notices what was removed before, also when that is back, and is not held up by what was not.
func TestKeep(t *testing.T) {
	st := two(t)
	layer := addLayer(t, st, "a")
	put(t, st, image(t, "a:1", layer))
	put(t, st, image(t, "b:1", addLayer(t, st, "b")))
	img, err := st.Image("a:1")
	if err != nil || !img.Whole() || !keeps(st, img) {
		t.Fatalf("%v, whole %v", err, img.Whole())
	}
	// As long as nothing is counted, nothing is looked at.
	mark := filepath.Join(filepath.Dir(filepath.Dir(st.LayerDir(layer))), "leaving")
	name, err := fsx.TempName()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, mark); err != nil {
		t.Fatal(err)
	}
	if !keeps(st, img) {
		t.Error("a layer was looked at though nothing was counted")
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Remove("b:1"); err != nil {
		t.Fatal(err)
	}
	if !keeps(st, img) {
		t.Error("the removal of another image's layer counts against this one")
	}
	if err := os.Symlink(name, mark); err != nil {
		t.Fatal(err)
	}
	if keeps(st, img) {
		t.Error("a layer that is being removed is kept")
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Remove("a:1"); err != nil {
		t.Fatal(err)
	}
	if keeps(st, img) {
		t.Error("a layer that was removed is kept")
	}
	// Without the file, each layer is looked at.
	put(t, st, image(t, "a:1", addLayer(t, st, "a")))
	if err := os.Remove(filepath.Join(st.Dirs().Layers, "layers", "removals")); err != nil {
		t.Fatal(err)
	}
	if img, err = st.Image("a:1"); err != nil || !keeps(st, img) {
		t.Errorf("%v: a layer that is here is missed", err)
	}
	if err := os.RemoveAll(st.LayerDir(layer)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(st.LayerDir(layer)), "layer.json")); err != nil {
		t.Fatal(err)
	}
	if keeps(st, img) {
		t.Error("a layer that is gone is kept, and nothing was counted")
	}
}
