package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/store"
)

// rounds is how often two that race are let go.
const rounds = 40

// together runs two functions at once.
func together(a, b func()) {
	var wg sync.WaitGroup
	wg.Go(a)
	wg.Go(b)
	wg.Wait()
}

// A reference that was put while the image lost its last other one means an image that is there.
func TestPutWhileTheImageIsRemoved(t *testing.T) {
	st := open(t)
	img := image(t, "a:1", addLayer(t, st, "x"))
	second := img
	second.Ref = "b:1"
	for n := range rounds {
		put(t, st, img)
		together(func() {
			if _, err := st.Remove("a:1"); err != nil {
				t.Errorf("round %d: Remove: %v", n, err)
			}
		}, func() { put(t, st, second) })
		if _, err := st.Image("b:1"); err != nil {
			t.Fatalf("round %d: the reference that was put: %v", n, err)
		}
		if _, err := st.Remove("b:1"); err != nil {
			t.Fatal(err)
		}
		addLayer(t, st, "x")
	}
	if left := names(t, filepath.Join(st.Dirs().Data, "tmp")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A run that has written its lease and then finds a layer keeps it.
func TestLeaseWhileTheLayerIsRemoved(t *testing.T) {
	st := open(t)
	d := digest.FromString("x")
	kept := 0
	for n := range rounds {
		addLayer(t, st, "x")
		img := put(t, st, image(t, "a:1", d))
		var u *store.Upper
		found := false
		together(func() {
			if _, err := st.Remove("a:1"); err != nil && !errors.Is(err, store.ErrInUse) {
				t.Errorf("round %d: Remove: %v", n, err)
			}
		}, func() {
			u = upper(t, st, fmt.Sprintf("run%d", n), store.Lease{Digest: img.Digest, Layers: []digest.Digest{d}})
			found = st.HasLayer(d)
		})
		if _, err := os.Stat(filepath.Join(st.LayerDir(d), "file")); found && err != nil {
			t.Fatalf("round %d: a layer went under a run: %v", n, err)
		}
		if found {
			kept++
		}
		if err := u.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the run was first in %d of %d rounds", kept, rounds)
}

// A layer that is published while another process removes the same layer is there afterwards, or removed; no error either way.
func TestPublishWhileTheLayerIsRemoved(t *testing.T) {
	st := open(t)
	d := digest.FromString("x")
	for n := range rounds {
		addLayer(t, st, "x")
		put(t, st, image(t, "a:1", d))
		together(func() {
			if _, err := st.Remove("a:1"); err != nil {
				t.Errorf("round %d: Remove: %v", n, err)
			}
		}, func() { addLayer(t, st, "x") })
		if _, err := os.Stat(filepath.Join(st.LayerDir(d), "file")); st.HasLayer(d) && err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
	}
	if left := names(t, filepath.Join(st.Dirs().Layers, "tmp")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// The mark of a process that was killed while it removed a layer hinders nobody.
func TestMarkOfADeadRemover(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	put(t, st, image(t, "a:1", d))
	mark := filepath.Join(filepath.Dir(filepath.Dir(st.LayerDir(d))), "leaving")
	if err := os.Symlink(tempNameOf(t, dead(t)), mark); err != nil {
		t.Fatal(err)
	}
	if !st.HasLayer(d) {
		t.Error("the layer is taken for one that leaves")
	}
	if _, err := st.Remove("a:1"); err != nil {
		t.Fatal(err)
	}
	if left := names(t, filepath.Join(st.Dirs().Layers, "layers/sha256")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
