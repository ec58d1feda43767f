package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/store"
)

func check(t *testing.T, st *store.Store, o store.CheckOptions) store.Checked {
	t.Helper()
	found, err := st.Check(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// whole is a store with an image, a sealed layer with some of everything, and a blob, in which nothing is wrong.
func whole(t *testing.T) (st *store.Store, img store.Image, layer, blob digest.Digest) {
	t.Helper()
	st = two(t)
	staging := commit(t, st, "x")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(staging.FS(), "dir/sub"), 0o755),
		os.Symlink("file", filepath.Join(staging.FS(), "dir/link")),
		os.Link(filepath.Join(staging.FS(), "file"), filepath.Join(staging.FS(), "dir/twin")),
		os.WriteFile(staging.OwnersFile(), []byte("owners"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := staging.Commit(describe("x")); err != nil {
		t.Fatal(err)
	}
	layer = digest.FromString("x")
	if err := st.Settle(layer); err != nil {
		t.Fatal(err)
	}
	img = put(t, st, image(t, "a:1", layer))
	blob = keepBlob(t, st, "x", true)
	if found := check(t, st, store.CheckOptions{}); len(found.Problems) != 0 || found.Unsealed != 0 || found.Images != 1 ||
		found.References != 1 || found.Layers != 1 || found.Entries != 5 || found.Blobs != 1 {
		t.Fatalf("a whole store: %+v", found)
	}
	return st, img, layer, blob
}

func TestCheckFindsDamage(t *testing.T) {
	tree := func(st *store.Store, name string) string {
		return filepath.Join(st.LayerDir(digest.FromString("x")), name)
	}
	beside := func(st *store.Store, name string) string { return filepath.Join(filepath.Dir(tree(st, "")), name) }
	touch := func(path string, do func(path string) error) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := do(path); err != nil {
			return err
		}
		return os.Chtimes(path, time.Time{}, info.ModTime())
	}
	for _, c := range []struct {
		name, kind, says string
		damage           func(st *store.Store, img store.Image) error
	}{
		{"a file is gone", "layer", "it had 5 files with 2 bytes, and has 4 with 1", func(st *store.Store, _ store.Image) error { return os.Remove(tree(st, "dir/twin")) }},
		{"a file is new", "layer", "has 6", func(st *store.Store, _ store.Image) error { return os.Mkdir(tree(st, "new"), 0o755) }},
		{"a file is longer", "layer", "bytes", func(st *store.Store, _ store.Image) error { return os.WriteFile(tree(st, "file"), []byte("xy"), 0o600) }},
		{"a file was written to", "layer", "not those", func(st *store.Store, _ store.Image) error {
			return os.Chtimes(tree(st, "file"), time.Time{}, time.Now().Add(time.Hour))
		}},
		{"a mode differs", "layer", "not those", func(st *store.Store, _ store.Image) error { return os.Chmod(tree(st, "dir"), 0o700) }},
		{"a name differs", "layer", "not those", func(st *store.Store, _ store.Image) error { return os.Rename(tree(st, "dir"), tree(st, "rid")) }},
		{"a link leads elsewhere", "layer", "not those", func(st *store.Store, _ store.Image) error {
			return errors.Join(os.Remove(tree(st, "dir/link")), os.Symlink("elif", tree(st, "dir/link")))
		}},
		{"a file is set-id", "layer", "set-id", func(st *store.Store, _ store.Image) error { return os.Chmod(tree(st, "file"), 0o700|os.ModeSetuid) }},
		{"the tree is gone", "layer", "not whole", func(st *store.Store, _ store.Image) error { return os.RemoveAll(tree(st, "")) }},
		{"it has aged", "layer", "old files", func(st *store.Store, _ store.Image) error { return os.Remove(beside(st, "eldest")) }},
		{"its description is gone", "layer", "not whole", func(st *store.Store, _ store.Image) error { return os.Remove(beside(st, "layer.json")) }},
		{"its description is damaged", "layer", "damaged", func(st *store.Store, _ store.Image) error {
			return os.WriteFile(beside(st, "layer.json"), []byte("{"), 0o600)
		}},
		{"its owners are gone", "layer", "original owners", func(st *store.Store, _ store.Image) error { return os.Remove(beside(st, "owners.jsonl")) }},
		{"its owners are a link", "layer", "original owners", func(st *store.Store, _ store.Image) error {
			return errors.Join(os.Remove(beside(st, "owners.jsonl")), os.Symlink("/dev/null", beside(st, "owners.jsonl")))
		}},
		{"its owners differ", "layer", "original owners", func(st *store.Store, _ store.Image) error {
			return os.WriteFile(beside(st, "owners.jsonl"), []byte("{}"), 0o600)
		}},
		{"its seal is damaged", "layer", "seal", func(st *store.Store, _ store.Image) error {
			return os.WriteFile(beside(st, "seal.json"), nil, 0o600)
		}},
		{"a manifest differs", "image", "digest", func(st *store.Store, img store.Image) error {
			return os.WriteFile(filepath.Join(st.Dirs().Data, "images/sha256", img.Digest.Encoded(), "manifest.json"), []byte("{}"), 0o600)
		}},
		{"a configuration differs", "image", "digest", func(st *store.Store, img store.Image) error {
			return os.WriteFile(filepath.Join(st.Dirs().Data, "images/sha256", img.Digest.Encoded(), "config.json"), []byte("{}"), 0o600)
		}},
		{"an image is gone", "reference", "not stored", func(st *store.Store, img store.Image) error {
			return os.RemoveAll(filepath.Join(st.Dirs().Data, "images/sha256", img.Digest.Encoded()))
		}},
		{"a reference is damaged", "reference", "damaged", func(st *store.Store, _ store.Image) error {
			files, err := filepath.Glob(filepath.Join(st.Dirs().Data, "images/refs/*"))
			if err != nil || len(files) != 1 {
				return err
			}
			return os.WriteFile(files[0], []byte("{"), 0o600)
		}},
		{"a blob differs", "blob", "digest", func(st *store.Store, _ store.Image) error {
			return touch(st.Blobs().Path(digest.FromString("x")), func(path string) error { return os.WriteFile(path, []byte("y"), 0o600) })
		}},
		{"others can write", "store", "other users", func(st *store.Store, _ store.Image) error {
			for _, dir := range []string{"", "layers", "layers/sha256"} {
				if err := os.Chmod(filepath.Join(st.Dirs().Layers, dir), 0o711); err != nil {
					return err
				}
			}
			if err := os.Chmod(tree(st, "dir"), 0o777); err != nil {
				return err
			}
			return os.Remove(beside(st, "seal.json")) // the mode alone would give it away
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			st, img, layer, _ := whole(t)
			if err := c.damage(st, img); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first look changes nothing
				found := check(t, st, store.CheckOptions{})
				if found.Damage() == 0 || found.Problems[0].Kind != c.kind || !strings.Contains(found.Problems[0].Problem, c.says) || found.Problems[0].Repaired {
					t.Fatalf("found %+v, want a problem of the %s that says %q", found.Problems, c.kind, c.says)
				}
			}
			if found := check(t, st, store.CheckOptions{Repair: true}); found.Damage() != 0 || len(found.Problems) == 0 {
				t.Errorf("repaired: %+v", found)
			}
			if found := check(t, st, store.CheckOptions{}); len(found.Problems) != 0 {
				t.Errorf("after the repair: %+v", found.Problems)
			}
			if c.kind == "layer" == st.HasLayer(layer) {
				t.Errorf("the layer is there: %v", st.HasLayer(layer))
			}
			for _, dir := range []string{"tmp", "locks", "retired"} {
				if left := names(t, filepath.Join(st.Dirs().Layers, dir)); len(left) != 0 {
					t.Errorf("left in %s: %v", dir, left)
				}
			}
		})
	}
}

// What a disk has forgotten shows only in the content, once somebody has read it when it was right.
func TestCheckReadsContents(t *testing.T) {
	st, _, layer, _ := whole(t)
	check(t, st, store.CheckOptions{Repair: true, ReadData: true})
	file := filepath.Join(st.LayerDir(layer), "file")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, "y")
	if err := os.Chtimes(file, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if found := check(t, st, store.CheckOptions{}); len(found.Problems) != 0 {
		t.Errorf("seen without reading: %+v", found.Problems)
	}
	if found := check(t, st, store.CheckOptions{ReadData: true}); len(found.Problems) != 1 || !strings.Contains(found.Problems[0].Problem, "content") {
		t.Errorf("%+v, want that the content has changed", found.Problems)
	}
}

// A run keeps its layer, damaged as it is; the next run fetches another.
func TestRepairUnderARun(t *testing.T) {
	st, img, layer, _ := whole(t)
	u := upper(t, st, "run", store.Lease{Digest: img.Digest, Layers: []digest.Digest{layer}})
	if err := os.Remove(filepath.Join(st.LayerDir(layer), "dir/twin")); err != nil {
		t.Fatal(err)
	}
	if found := check(t, st, store.CheckOptions{Repair: true}); found.Damage() != 0 || len(found.Problems) != 1 {
		t.Errorf("%+v", found)
	}
	if kept, err := filepath.Glob(filepath.Join(st.Dirs().Layers, "retired/*/fs/file")); err != nil || len(kept) != 1 || st.HasLayer(layer) {
		t.Errorf("kept for the run: %v, %v; still used: %v", kept, err, st.HasLayer(layer))
	}
	if err := u.Remove(); err != nil {
		t.Fatal(err)
	}
	prune(t, st, store.PruneOptions{})
	if left := names(t, filepath.Join(st.Dirs().Layers, "retired")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestCheckSealsWhatIsNot(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	if found := check(t, st, store.CheckOptions{}); found.Unsealed != 1 || len(found.Problems) != 0 {
		t.Errorf("%+v, want one that is not sealed", found)
	}
	check(t, st, store.CheckOptions{Repair: true})
	if found := check(t, st, store.CheckOptions{}); found.Unsealed != 0 {
		t.Errorf("%+v", found)
	}
	if len(st.Unsettled(d)) != 0 {
		t.Error("sealed but not settled")
	}
}
