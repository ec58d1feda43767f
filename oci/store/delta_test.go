package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
)

var ours = store.DeltaMap("uids 0:1000:1,1:100000:65536 gids 0:1000:1,1:100000:65536")

// addDelta stores a delta of a stored layer.
func addDelta(t *testing.T, st *store.Store, d digest.Digest, m store.IDMap, of time.Time) {
	t.Helper()
	staging, err := st.BeginDelta(d, m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(staging.FS(), "mine"), "delta")
	layer := store.Layer{Digest: d, DiffID: digest.FromString("diff"), Unpacked: 5, Entries: 1, Flat: of, Map: "whole"}
	if err := staging.Commit(layer); err != nil {
		t.Fatal(err)
	}
}

// flatTime is when the flat tree of a layer was made.
func flatTime(t *testing.T, st *store.Store, d digest.Digest) time.Time {
	t.Helper()
	layer, err := st.Layer(d)
	if err != nil {
		t.Fatal(err)
	}
	return layer.Created
}

func TestDeltaIsOfOneMapAndOneTree(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	if _, err := st.Delta(d, ours); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before it is made: %v", err)
	}
	addDelta(t, st, d, ours, flatTime(t, st, d))
	dir, err := st.Delta(d, ours)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "mine")); err != nil || string(raw) != "delta" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := st.Delta(d, store.DeltaMap("another")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("for another map: %v", err)
	}
	addDelta(t, st, d, ours, flatTime(t, st, d)) // the second gives way
	if got := names(t, filepath.Join(st.Dirs().Layers, "tmp")); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	if !st.HasLayer(d) {
		t.Error("the layer itself is gone")
	}
	asIfRestarted(t, st, d)
	if _, err := st.Delta(d, ours); err != nil {
		t.Errorf("that the flat tree is older does not matter: %v", err)
	}
	if _, err := st.BeginDelta(d, store.Flat); err == nil {
		t.Error("a delta may take the flat tree's place")
	}
}

// TestDeltaAfterAPowerCut: as a layer it is trusted if it was settled, with its layer or after it, and only then.
func TestDeltaAfterAPowerCut(t *testing.T) {
	st := open(t)
	d, other := addLayer(t, st, "x"), addLayer(t, st, "y")
	if err := st.Settle(d, other); err != nil {
		t.Fatal(err)
	}
	addDelta(t, st, d, ours, flatTime(t, st, d))
	addDelta(t, st, other, ours, flatTime(t, st, other))
	stale := store.DeltaMap("another")
	addDelta(t, st, d, stale, time.Now())
	if got := st.Unsettled(d, other); !slices.Equal(got, []digest.Digest{d, other}) {
		t.Errorf("unsettled: %v", got)
	}
	if err := st.Settle(d); err != nil {
		t.Fatal(err)
	}
	if got := st.Unsettled(d, other); !slices.Equal(got, []digest.Digest{other}) {
		t.Errorf("unsettled: %v", got)
	}
	for layer, lasts := range map[digest.Digest]bool{d: true, other: false} {
		trees := filepath.Dir(filepath.Dir(st.LayerDir(layer)))
		asIfTreeRestarted(t, filepath.Join(trees, string(ours)))
		if _, err := st.Delta(layer, ours); lasts != (err == nil) || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("settled %v: %v", lasts, err)
		}
	}
	if got := st.Unsettled(d, other); len(got) != 0 {
		t.Errorf("what is not trusted any more is to be settled: %v", got)
	}
}

func TestDeltaOfAnotherFlatTreeIsMadeAnew(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	addDelta(t, st, d, ours, time.Now())
	if _, err := st.Delta(d, ours); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of another flat tree: %v", err)
	}
	if found := check(t, st, store.CheckOptions{}); len(found.Problems) != 0 || found.Layers != 1 {
		t.Errorf("it is no damage: %+v", found)
	}
	addDelta(t, st, d, ours, flatTime(t, st, d)) // it takes the place of the other
	if _, err := st.Delta(d, ours); err != nil {
		t.Error(err)
	}
}

func TestPlainLayersNeedNoDelta(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	for range 2 {
		if err := st.MarkPlain(d); err != nil {
			t.Fatal(err)
		}
	}
	if dir, err := st.Delta(d, ours); dir != "" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
	if found := check(t, st, store.CheckOptions{}); len(found.Problems) != 0 {
		t.Errorf("%+v", found)
	}
}

func TestPruneTakesDeltasOfNoUse(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	put(t, st, image(t, "r.test/a:1", d))
	addDelta(t, st, d, ours, flatTime(t, st, d))
	other := store.DeltaMap("another")
	addDelta(t, st, d, other, time.Now())
	for _, dry := range []bool{true, false} {
		pruned := prune(t, st, store.PruneOptions{DryRun: dry})
		if len(pruned.Layers) != 1 || !strings.Contains(pruned.Layers[0].Name, string(other)) || pruned.Layers[0].Bytes != 5 {
			t.Errorf("dry %v: %+v", dry, pruned.Layers)
		}
	}
	if got, want := names(t, filepath.Dir(filepath.Dir(st.LayerDir(d)))), []string{string(store.Flat), string(ours)}; !slices.Equal(got, want) {
		t.Errorf("left: %v, want %v", got, want)
	}
	if removed, err := st.Remove("r.test/a:1"); err != nil || len(removed.Layers) != 1 {
		t.Errorf("%+v, %v", removed, err)
	}
	if got := names(t, filepath.Dir(filepath.Dir(filepath.Dir(st.LayerDir(d))))); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestCheckFindsWhatNoDeltaMayHold(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	addDelta(t, st, d, ours, flatTime(t, st, d))
	dir, err := st.Delta(d, ours)
	if err != nil {
		t.Fatal(err)
	}
	if found := check(t, st, store.CheckOptions{Repair: true}); len(found.Problems) != 0 {
		t.Errorf("whole: %+v", found.Problems)
	}
	if err := os.Chmod(filepath.Join(dir, "mine"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	found := check(t, st, store.CheckOptions{Repair: true})
	if len(found.Problems) != 1 || !found.Problems[0].Repaired || !strings.Contains(found.Problems[0].Problem, "set-id") {
		t.Errorf("%+v", found.Problems)
	}
	if _, err := st.Delta(d, ours); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if !st.HasLayer(d) {
		t.Error("the layer went with it")
	}
}

// TestForeignTreesAreRemovedByWhoCan: what this process may not remove is left to who was named for it.
func TestForeignTreesAreRemovedByWhoCan(t *testing.T) {
	st := open(t)
	var asked []string
	st.RemoveForeign(func(path string) error {
		asked = append(asked, path)
		return os.RemoveAll(path)
	})
	u := upper(t, st, "run", store.Lease{})
	restore := fsx.InjectFaults(func(op, path string) error {
		if op == "remove" {
			return &fs.PathError{Op: op, Path: path, Err: unix.EACCES}
		}
		return nil
	})
	err := u.Remove()
	restore()
	if err != nil || len(asked) != 1 || !strings.HasPrefix(asked[0], filepath.Join(st.Dirs().Layers, "tmp")) {
		t.Errorf("%v, asked for %v", err, asked)
	}
	if got := names(t, filepath.Join(st.Dirs().Layers, "tmp")); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}
