package store_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store"
)

func TestLayerAppearsWhole(t *testing.T) {
	st := open(t)
	staging := commit(t, st, "x")
	d := digest.FromString("x")
	if st.HasLayer(d) {
		t.Error("there before Commit")
	}
	if err := staging.Commit(describe("x")); err != nil {
		t.Fatal(err)
	}
	if err := staging.Abort(); err != nil || !st.HasLayer(d) {
		t.Errorf("Abort after Commit: %v, there: %v", err, st.HasLayer(d))
	}
	if raw, err := os.ReadFile(filepath.Join(st.LayerDir(d), "file")); err != nil || string(raw) != "x" {
		t.Errorf("%q, %v", raw, err)
	}
	aborted := commit(t, st, "y")
	if err := aborted.Abort(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Join(st.Dirs().Layers, "tmp")); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestSecondWriterOfALayerGivesWay(t *testing.T) {
	st := open(t)
	first, second := commit(t, st, "x"), commit(t, st, "x")
	for _, s := range []*store.Staging{first, second} {
		if err := s.Commit(describe("x")); err != nil {
			t.Fatal(err)
		}
	}
	if !st.HasLayer(digest.FromString("x")) || len(names(t, filepath.Join(st.Dirs().Layers, "tmp"))) != 0 {
		t.Error("not one layer and nothing else")
	}
}

func TestCommitRefuses(t *testing.T) {
	st := open(t)
	for name, layer := range map[string]store.Layer{"another layer": describe("y"), "no diffID": {Digest: digest.FromString("x")}} {
		staging := commit(t, st, "x")
		if err := staging.Commit(layer); err == nil {
			t.Errorf("%s was accepted", name)
		}
		if err := staging.Abort(); err != nil {
			t.Errorf("%s: Abort says it again: %v", name, err)
		}
	}
	if got := names(t, filepath.Join(st.Dirs().Layers, "tmp")); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	for _, d := range []digest.Digest{"", "sha256:..", "sha512:" + digest.Digest(strings.Repeat("a", 128)), "md5:x", "sha256:" + digest.Digest(strings.Repeat("A", 64))} {
		if _, err := st.BeginLayer(d); err == nil {
			t.Errorf("BeginLayer(%q) was accepted", d)
		}
	}
}

// asIfRestarted makes a stored layer look as if it had been written before the last restart of this machine.
func asIfRestarted(t *testing.T, st *store.Store, d digest.Digest) {
	t.Helper()
	asIfTreeRestarted(t, filepath.Dir(st.LayerDir(d)))
}

// asIfTreeRestarted is asIfRestarted for one tree of a layer.
func asIfTreeRestarted(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "layer.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.ReplaceAll(string(raw), boot, "00000000-0000-0000-0000-000000000000"))
}

func TestLayerAfterAPowerCut(t *testing.T) {
	st := open(t)
	unsettled, settled := addLayer(t, st, "u"), addLayer(t, st, "s")
	absent := digest.FromString("not there")
	if got := st.Unsettled(absent, settled, unsettled); !slices.Equal(got, []digest.Digest{settled, unsettled}) {
		t.Errorf("unsettled: %v", got)
	}
	if err := st.Settle(settled, absent); err != nil {
		t.Fatal(err)
	}
	if got := st.Unsettled(absent, settled, unsettled); !slices.Equal(got, []digest.Digest{unsettled}) {
		t.Errorf("unsettled: %v, want the one that was not named", got)
	}
	asIfRestarted(t, st, unsettled)
	asIfRestarted(t, st, settled)
	if st.HasLayer(unsettled) || !st.HasLayer(settled) {
		t.Fatalf("unsettled trusted: %v, settled trusted: %v", st.HasLayer(unsettled), st.HasLayer(settled))
	}
	upper(t, st, "refetching", store.Lease{Layers: []digest.Digest{unsettled}})
	addLayer(t, st, "u") // fetched again
	if !st.HasLayer(unsettled) || len(names(t, filepath.Join(st.Dirs().Layers, "tmp"))) != 0 {
		t.Error("not replaced cleanly")
	}
	if err := st.Settle(unsettled, settled); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(filepath.Dir(st.LayerDir(settled)), "layer.json"), "")
	if _, err := st.Layer(settled); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a layer without description: %v, want ErrNotExist", err)
	}
}

// A host that was renamed between the power cut and now must not take its own unsettled layers for another's.
func TestLayerAfterAPowerCutAndARename(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "u")
	asIfRestarted(t, st, d)
	rename(t, st, d)
	if st.HasLayer(d) {
		t.Error("trusted, because it names another host")
	}
	if err := st.Settle(d); err != nil || st.HasLayer(d) {
		t.Errorf("settled in another boot than it was written in (%v)", err)
	}
}

// A run keeps the tree it began with, though it is not to be trusted any more: on a shared disk another host may have begun
// when it was, and on this one something may have removed files since.
func TestRetiredLayerStaysForItsRuns(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, st *store.Store, d digest.Digest) host.Owner{
		"of another host": func(t *testing.T, st *store.Store, d digest.Digest) host.Owner {
			asIfRestarted(t, st, d)
			rename(t, st, d)
			owner := dead(t)
			owner.Host, owner.BootID = "elsewhere", "11111111-1111-1111-1111-111111111111"
			return owner
		},
		"aged": func(t *testing.T, st *store.Store, d digest.Digest) host.Owner {
			if err := os.Remove(filepath.Join(filepath.Dir(st.LayerDir(d)), "eldest")); err != nil {
				t.Fatal(err)
			}
			return host.Owner{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := open(t)
			d := addLayer(t, st, "u")
			owner := spoil(t, st, d)
			first := upper(t, st, "run1", store.Lease{Owner: owner, Layers: []digest.Digest{d}})
			second := upper(t, st, "run2", store.Lease{Owner: owner, Layers: []digest.Digest{d}})
			addLayer(t, st, "u")
			if !st.HasLayer(d) {
				t.Error("the new layer is not there")
			}
			for left, u := range []*store.Upper{first, second} {
				if _, err := st.Reclaim(); err != nil {
					t.Fatal(err)
				}
				if kept := names(t, filepath.Join(st.Dirs().Layers, "retired")); len(kept) != 1 {
					t.Fatalf("with %d runs over: kept %v, want the old tree", left, kept)
				}
				if err := u.Remove(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := st.Reclaim(); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{"retired", "tmp"} {
				if left := names(t, filepath.Join(st.Dirs().Layers, dir)); len(left) != 0 {
					t.Errorf("left in %s: %v", dir, left)
				}
			}
			if !st.HasLayer(d) {
				t.Error("the new layer went with the old one")
			}
		})
	}
}

// rename makes a stored layer one that a host of another name has written.
func rename(t *testing.T, st *store.Store, d digest.Digest) {
	t.Helper()
	layer := read(t, st, d)
	layer.Unpacker.Host = "another-name"
	describeAs(t, st, d, layer)
}

func describeAs(t *testing.T, st *store.Store, d digest.Digest, layer store.Layer) {
	t.Helper()
	raw, err := json.Marshal(layer)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(filepath.Dir(st.LayerDir(d)), "layer.json"), string(raw))
}

// read is the description of a layer, trusted or not.
func read(t *testing.T, st *store.Store, d digest.Digest) (layer store.Layer) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(st.LayerDir(d)), "layer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &layer); err != nil {
		t.Fatal(err)
	}
	return layer
}

func TestSettleFailsAloud(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	restore := fsx.InjectFaults(func(op, _ string) error {
		if op == "syncfs" {
			return errors.New("input/output error")
		}
		return nil
	})
	if err := st.Settle(d); err == nil {
		t.Error("a failed sync was not reported")
	}
	restore()
	asIfRestarted(t, st, d)
	if st.HasLayer(d) {
		t.Error("marked although the sync failed")
	}
}
