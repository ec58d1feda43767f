package hostile_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/hostile"
)

func TestLayers(t *testing.T) {
	reg := fixture.Serve(t)
	for _, c := range hostile.Layers() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			testLayer(t, reg, c)
		})
	}
}

func testLayer(t *testing.T, reg *fixture.Registry, c hostile.Layer) {
	t.Helper()
	b := newBox(t)
	img := fixture.Image{Layers: c.Layers()}
	name := "hostile/" + c.Name + ":1"
	reg.Push(name, img)
	got := b.run("pull", reg.Ref(name))
	if testing.Verbose() {
		t.Logf("status %d, %v, %d MiB: %s", got.Code, got.CPU, got.Memory>>20, lastError(got.stderr))
	}
	defer b.check()
	if c.Outcome == hostile.Reject {
		b.wantStatus(got, 125, c.Budget)
		b.wantNothing(img)
		if c.Says == "" || !strings.Contains(lastError(got.stderr), c.Says) {
			t.Errorf("the message lacks %q: %s", c.Says, got.stderr)
		}
		return
	}
	b.wantStatus(got, 0, c.Budget)
	if t.Failed() {
		return
	}
	v := b.wantTree(img, c.Tree)
	room := int64(0)
	for _, n := range slices.Concat(v.Layers...) {
		room += n.Room
	}
	if c.Room > 0 && room > c.Room {
		t.Errorf("the tree takes %d bytes of the disk, at most %d are allowed", room, c.Room)
	}
}

// wantNothing fails the test if anything of a rejected image can be found. Its last layer is the attack.
func (b *box) wantNothing(img fixture.Image) {
	b.t.Helper()
	for _, dir := range []string{"images/refs", "images/sha256"} {
		if names := b.added(dir); len(names) > 0 {
			b.t.Errorf("%s holds %q", dir, names)
		}
	}
	if len(img.Layers) == 0 {
		return
	}
	last := img.Layers[len(img.Layers)-1].Descriptor.Digest.Encoded()
	if slices.Contains(b.added("layers/sha256"), last) {
		b.t.Errorf("the layer %s is in the store", last)
	}
}

// wantTree fails the test unless the image shows what it should, and nothing dangerous lies on the disk.
func (b *box) wantTree(img fixture.Image, want hostile.Tree) view {
	b.t.Helper()
	v := look(b.t, b.layers(img), b.path("look"))
	for n, nodes := range v.Layers {
		for _, node := range nodes {
			if why := hostile.Dangerous(node, 0, 0); why != "" {
				b.t.Errorf("layer %d: %q %s", n, node.Path, why)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got := at(v.Merged, path); got != want[path] {
			b.t.Errorf("%q is %q, want %q", path, got, want[path])
		}
	}
	return v
}

// layers are the directories of an image's layers.
func (b *box) layers(img fixture.Image) (dirs []string) {
	for _, l := range img.Layers {
		dirs = append(dirs, filepath.Join(b.path("store", "layers", "sha256"), l.Descriptor.Digest.Encoded(), "flat", "fs"))
	}
	return dirs
}
