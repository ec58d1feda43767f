package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
)

// stacked is a store with an image of ten layers, with a file of its own each, and its stack.
func stacked(t *testing.T) (*store.Store, store.Image) {
	t.Helper()
	st := two(t)
	put(t, st, image(t, "a:1", tens(t, st)...))
	merged(t, st, found(t, st, "a:1"))
	return st, found(t, st, "a:1")
}

func tens(t *testing.T, st *store.Store) (layers []digest.Digest) {
	t.Helper()
	for n := range 10 {
		name := fmt.Sprintf("layer%d", n)
		staging := commit(t, st, name)
		write(t, filepath.Join(staging.FS(), name), name)
		layer := describe(name)
		layer.Entries = 2
		if err := staging.Commit(layer); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, layer.Digest)
	}
	return layers
}

func merged(t *testing.T, st *store.Store, img store.Image) {
	t.Helper()
	if err := st.Merge(t.Context(), img.Layers()...); err != nil {
		t.Fatal(err)
	}
}

func found(t *testing.T, st *store.Store, name string) store.Image {
	t.Helper()
	img, err := st.Image(name)
	if err != nil || !img.Whole() {
		t.Fatalf("%s: whole %v, %v", name, img.Whole(), err)
	}
	return img
}

func stacks(t *testing.T, st *store.Store) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(st.Dirs().Layers, "layers/stacks"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, filepath.Join(st.Dirs().Layers, "layers/stacks", e.Name()))
	}
	return all
}

func TestMerge(t *testing.T) {
	st := two(t)
	put(t, st, image(t, "a:1", tens(t, st)...))
	img := found(t, st, "a:1")
	if len(st.Trees(img)) != 10 || !st.Unmerged(img) {
		t.Fatalf("before: %v, to be merged %v", st.Trees(img), st.Unmerged(img))
	}
	for range 2 { // the second time there is nothing to do
		merged(t, st, img)
		again := found(t, st, "a:1")
		if trees := st.Trees(again); len(trees) != 1 || len(names(t, trees[0])) != 11 || st.Unmerged(again) || st.Unmerged(img) {
			t.Fatalf("after: %v, to be merged %v", trees, st.Unmerged(again))
		}
	}
	if raw, err := os.ReadFile(filepath.Join(st.Trees(found(t, st, "a:1"))[0], "file")); err != nil || string(raw) != "layer9" {
		t.Errorf("the uppermost file: %q, %v", raw, err)
	}
	if apart := st.Apart(found(t, st, "a:1")); len(st.Trees(apart)) != 10 || !apart.Whole() {
		t.Errorf("apart: %v, whole %v", st.Trees(apart), apart.Whole())
	}
	if found := check(t, st, store.CheckOptions{ReadData: true, Repair: true}); len(found.Problems) != 0 {
		t.Errorf("%+v", found.Problems)
	}
	if len(stacks(t, st)) != 1 || len(names(t, filepath.Join(st.Dirs().Layers, "tmp"))) != 0 || len(names(t, filepath.Join(st.Dirs().Layers, "locks"))) != 0 {
		t.Errorf("left: %v", stacks(t, st))
	}
	put(t, st, image(t, "few:1", img.Layers()[:7]...))
	merged(t, st, found(t, st, "few:1"))
	if len(stacks(t, st)) != 1 || st.Unmerged(found(t, st, "few:1")) {
		t.Error("seven layers were merged")
	}
}

// What overlayfs refuses, a layer that is there twice, is there once in a stack.
func TestMergeOfALayerTwice(t *testing.T) {
	st := two(t)
	layers := tens(t, st)
	put(t, st, image(t, "a:1", slices.Concat(layers, layers[:1])...))
	merged(t, st, found(t, st, "a:1"))
	img := found(t, st, "a:1")
	if raw, err := os.ReadFile(filepath.Join(st.Trees(img)[0], "file")); err != nil || string(raw) != "layer0" {
		t.Errorf("the uppermost file: %q, %v", raw, err)
	}
}

// A stack that cannot be had is no error, and one that never can is not tried again.
func TestMergeRefused(t *testing.T) {
	for _, c := range []struct {
		op    string
		errno syscall.Errno
		again bool // it is tried again
	}{
		{"link", syscall.EMLINK, false},
		{"link", syscall.EXDEV, false},
		{"link", syscall.EPERM, false},
		{"link", syscall.ENOSPC, true},
		{"mkdir", syscall.EDQUOT, true},
		{"syncfs", syscall.ENOSPC, true},
	} {
		t.Run(c.op+" "+c.errno.Error(), func(t *testing.T) {
			st := two(t)
			put(t, st, image(t, "a:1", tens(t, st)...))
			img := found(t, st, "a:1")
			restore := fsx.InjectFaults(func(op, path string) error {
				if op == c.op {
					return &fs.PathError{Op: op, Path: path, Err: c.errno}
				}
				return nil
			})
			err := st.Merge(t.Context(), img.Layers()...)
			restore()
			if err != nil {
				t.Fatal(err)
			}
			img = found(t, st, "a:1")
			if len(st.Trees(img)) != 10 || st.Unmerged(img) != c.again {
				t.Errorf("%d trees, to be merged %v, want %v", len(st.Trees(img)), st.Unmerged(img), c.again)
			}
			if left := names(t, filepath.Join(st.Dirs().Layers, "tmp")); len(left) != 0 || len(stacks(t, st)) > 1 {
				t.Errorf("left: %v, %v", left, stacks(t, st))
			}
		})
	}
}

// TestStackGoes: with the layers that it is of, with the last image that has it, with what it was made of.
func TestStackGoes(t *testing.T) {
	for name, remove := range map[string]func(st *store.Store, img store.Image) error{
		"rmi": func(st *store.Store, _ store.Image) error {
			_, err := st.Remove("a:1")
			return err
		},
		"rmi of one of two images with its layers": func(st *store.Store, img store.Image) error {
			put(t, st, image(t, "b:1", append(img.Layers(), addLayer(t, st, "more"))...))
			_, err := st.Remove("a:1")
			return err
		},
		"prune of an image": func(st *store.Store, _ store.Image) error {
			_, err := st.Prune(t.Context(), store.PruneOptions{All: true})
			return err
		},
		"repair of a layer": func(st *store.Store, img store.Image) error {
			if err := os.Remove(filepath.Join(st.LayerDir(img.Layers()[3]), "layer3")); err != nil {
				return err
			}
			_, err := st.Check(t.Context(), store.CheckOptions{Repair: true})
			return err
		},
		"a layer that has aged and is fetched again": func(st *store.Store, img store.Image) error {
			if err := os.Remove(filepath.Join(filepath.Dir(st.LayerDir(img.Layers()[3])), "eldest")); err != nil {
				return err
			}
			addLayer(t, st, "layer3")
			return nil
		},
		"a layer that was made again, unseen": func(st *store.Store, img store.Image) error {
			if err := os.RemoveAll(filepath.Dir(filepath.Dir(st.LayerDir(img.Layers()[3])))); err != nil {
				return err
			}
			addLayer(t, st, "layer3")
			_, err := st.Prune(t.Context(), store.PruneOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			st, img := stacked(t)
			if err := st.Settle(img.Layers()...); err != nil {
				t.Fatal(err)
			}
			if err := remove(st, img); err != nil {
				t.Fatal(err)
			}
			if left := stacks(t, st); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			for _, dir := range []string{"tmp", "retired", "locks"} {
				if left := names(t, filepath.Join(st.Dirs().Layers, dir)); len(left) != 0 {
					t.Errorf("left in %s: %v", dir, left)
				}
			}
		})
	}
}

// TestStackOfARun: what a run uses stays, and a run that begins while one goes does without.
func TestStackOfARun(t *testing.T) {
	st, img := stacked(t)
	if kept, here := st.Keep(img); !here || len(st.Trees(kept)) != 1 {
		t.Fatalf("nothing was removed: %v, %d trees", here, len(st.Trees(kept)))
	}
	u := upper(t, st, "run", store.Lease{Layers: img.Layers()}) // of another image of the same layers, say
	if _, err := st.Remove("a:1"); err != nil {
		t.Fatal(err)
	}
	if kept, here := st.Keep(img); !here || len(st.Trees(kept)) != 1 || len(names(t, st.Trees(kept)[0])) != 11 {
		t.Errorf("in use: %v, %d trees", here, len(st.Trees(kept)))
	}
	if err := u.Remove(); err != nil {
		t.Fatal(err)
	}
	put(t, st, image(t, "b:1", append(img.Layers(), addLayer(t, st, "more"))...))
	prune(t, st, store.PruneOptions{})
	if left := stacks(t, st); len(left) != 0 {
		t.Errorf("not in use any more: %v", left)
	}
	if kept, here := st.Keep(img); !here || len(st.Trees(kept)) != 10 {
		t.Errorf("the stack alone has gone: %v, %d trees", here, len(st.Trees(kept)))
	}
}

// A mark keeps new runs away from a stack as long as its process lives.
func TestStackLeaving(t *testing.T) {
	st, _ := stacked(t)
	mark := filepath.Join(stacks(t, st)[0], "leaving")
	for owner, trees := range map[string]int{"living": 10, "dead": 1} {
		name, err := fsx.TempName()
		if err != nil {
			t.Fatal(err)
		}
		if owner == "dead" {
			name = fsx.TempNameOf(dead(t), "x")
		}
		if err := os.Symlink(name, mark); err != nil {
			t.Fatal(err)
		}
		if got := st.Trees(found(t, st, "a:1")); len(got) != trees {
			t.Errorf("%s: %d trees, want %d", owner, len(got), trees)
		}
		if err := os.Remove(mark); err != nil {
			t.Fatal(err)
		}
	}
}

// What is not known to have reached the disk, or has lost files to a cleaner, is not used, and made again.
func TestStackIsNotTrusted(t *testing.T) {
	for _, name := range []string{"synced", "eldest", "parts", "0-9", "stack.json"} {
		st, img := stacked(t)
		if err := os.RemoveAll(filepath.Join(stacks(t, st)[0], name)); err != nil {
			t.Fatal(err)
		}
		if trees := st.Trees(found(t, st, "a:1")); name != "stack.json" && len(trees) != 10 {
			t.Errorf("without %s: %v", name, trees)
		}
		merged(t, st, img)
		if trees := st.Trees(found(t, st, "a:1")); len(trees) != 1 || len(stacks(t, st)) != 1 {
			t.Errorf("after %s: %v", name, trees)
		}
	}
}

func TestCheckFindsDamageInStacks(t *testing.T) {
	for name, damage := range map[string]func(tree string) error{
		"a file is gone": func(tree string) error { return os.Remove(filepath.Join(tree, "layer3")) },
		"a file is new":  func(tree string) error { return os.Mkdir(filepath.Join(tree, "new"), 0o755) },
		"a file is another": func(tree string) error {
			path := filepath.Join(tree, "layer3")
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("LAYER3"), info.Mode().Perm()), os.Chtimes(path, time.Time{}, info.ModTime()))
		},
		"a name is another file's": func(tree string) error {
			return errors.Join(os.Remove(filepath.Join(tree, "layer3")), os.Link(filepath.Join(tree, "layer4"), filepath.Join(tree, "layer3")), os.Chmod(tree, 0o700))
		},
		"its seals are damaged": func(tree string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(tree), "seals.json"), nil, 0o600)
		},
		"its seals are gone": func(tree string) error { return os.Remove(filepath.Join(filepath.Dir(tree), "seals.json")) },
	} {
		t.Run(name, func(t *testing.T) {
			st, img := stacked(t)
			if err := st.Settle(img.Layers()...); err != nil {
				t.Fatal(err)
			}
			if err := damage(st.Trees(img)[0]); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if found := check(t, st, store.CheckOptions{}); len(found.Problems) != 1 || found.Problems[0].Kind != "stack" || found.Damage() != 1 {
					t.Fatalf("%+v, want that the stack is damaged", found.Problems)
				}
			}
			if found := check(t, st, store.CheckOptions{Repair: true}); len(found.Problems) != 1 || found.Damage() != 0 || len(stacks(t, st)) != 0 {
				t.Errorf("repaired: %+v, left %v", found.Problems, stacks(t, st))
			}
			if got := st.Trees(found(t, st, "a:1")); len(got) != 10 {
				t.Errorf("after the repair: %v", got)
			}
		})
	}
}

// A damaged stack that a run uses goes where it stays for that run alone.
func TestRepairOfAStackUnderARun(t *testing.T) {
	st, img := stacked(t)
	u := upper(t, st, "run", store.Lease{Digest: img.Digest, Layers: img.Layers()})
	if err := os.Remove(filepath.Join(st.Trees(img)[0], "layer3")); err != nil {
		t.Fatal(err)
	}
	check(t, st, store.CheckOptions{Repair: true})
	retired := filepath.Join(st.Dirs().Layers, "retired")
	if len(stacks(t, st)) != 0 || len(names(t, retired)) != 1 {
		t.Errorf("left %v, for the run %v", stacks(t, st), names(t, retired))
	}
	if _, err := st.Reclaim(); err != nil || len(names(t, retired)) != 1 {
		t.Errorf("%v, for the run %v", err, names(t, retired))
	}
	if err := u.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Reclaim(); err != nil || len(names(t, retired)) != 0 {
		t.Errorf("%v, left %v", err, names(t, retired))
	}
}

// A layer that goes while a stack is made of it takes that away from its maker.
func TestMergeOfALayerThatGoes(t *testing.T) {
	for _, at := range []string{"link", "symlink", "syncfs", "rename"} {
		st := two(t)
		put(t, st, image(t, "a:1", tens(t, st)...))
		img := found(t, st, "a:1")
		var once sync.Once
		restore := fsx.InjectFaults(func(op, path string) (err error) {
			if op == at && (op != "rename" || strings.Contains(path, "stacks")) {
				once.Do(func() { _, err = st.Remove("a:1") })
			}
			return err
		})
		merged(t, st, img)
		restore()
		if left := slices.Concat(stacks(t, st), names(t, filepath.Join(st.Dirs().Layers, "tmp")), names(t, filepath.Join(st.Dirs().Layers, "layers/sha256"))); len(left) != 0 {
			t.Errorf("removed at %s: left %v", at, left)
		}
	}
}

// What a killed process was making goes with the next command.
func TestReclaimOfAStack(t *testing.T) {
	st, _ := stacked(t)
	whole := stacks(t, st)[0]
	left := filepath.Join(filepath.Dir(whole), fsx.TempNameOf(dead(t), "x"))
	if err := os.CopyFS(left, os.DirFS(filepath.Join(whole, "0-9"))); err != nil {
		t.Fatal(err)
	}
	if usage, err := st.Usage(); err != nil || len(usage.Leftover) != 1 {
		t.Errorf("%+v, %v", usage.Leftover, err)
	}
	if _, err := st.Reclaim(); err != nil {
		t.Fatal(err)
	}
	if now := stacks(t, st); len(now) != 1 || now[0] != whole {
		t.Errorf("left: %v", now)
	}
}
