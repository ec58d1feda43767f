package store_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/oci/store"
)

// A tree that something has taken files of is not used, as far as that can be seen at a glance.
func TestDamagedTreeIsNotTrusted(t *testing.T) {
	for _, name := range []string{"eldest", "fs", "layer.json"} {
		st := open(t)
		d := addLayer(t, st, "x")
		if err := os.RemoveAll(filepath.Join(filepath.Dir(st.LayerDir(d)), name)); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Layer(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: %v, want ErrNotExist", name, err)
		}
		addLayer(t, st, "x")
		if _, err := st.Layer(d); err != nil {
			t.Errorf("fetched again after %s was lost: %v", name, err)
		}
	}
}

// Cleaners of old files go by any of a file's dates; whichever it is, no file of a tree is older than eldest.
func TestEldestIsTheOldest(t *testing.T) {
	st := open(t)
	staging := commit(t, st, "x")
	old := time.Unix(1, 0)
	if err := os.Chtimes(filepath.Join(staging.FS(), "file"), old, old); err != nil { // as from an archive
		t.Fatal(err)
	}
	if err := staging.Commit(describe("x")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(staging.FS())
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("still in tmp")
	}
	dir = filepath.Dir(st.LayerDir(describe("x").Digest))
	eldest := dates(t, filepath.Join(dir, "eldest"))
	for _, name := range []string{"fs/file", "fs", "layer.json"} {
		for i, at := range dates(t, filepath.Join(dir, name)) {
			if eldest[i].After(at) {
				t.Errorf("date %d of %s is %v, before eldest's %v", i, name, at, eldest[i])
			}
		}
	}
}

// systemd-tmpfiles takes a layer's eldest file with the first of its others, and nothing at all while a run holds the root.
func TestAgedBySystemd(t *testing.T) {
	tool := need.Tool(t, "systemd-tmpfiles")
	st := open(t)
	d := addLayer(t, st, "x")
	u := upper(t, st, "run", store.Lease{Layers: nil})
	conf := filepath.Join(t.TempDir(), "age.conf")
	write(t, conf, "d "+filepath.Dir(st.Dirs().Layers)+" - - - 1s\n") // as /var/tmp is to a layer root
	clean := func() {
		t.Helper()
		if out, err := exec.Command(tool, "--clean", conf).CombinedOutput(); err != nil {
			t.Logf("%v: %s", err, out) // as an ordinary user it complains of what it may not look at
		}
	}
	time.Sleep(1100 * time.Millisecond)
	clean()
	if !st.HasLayer(d) {
		t.Fatal("aged under a run")
	}
	if err := u.Remove(); err != nil {
		t.Fatal(err)
	}
	clean()
	if _, err := os.Lstat(filepath.Join(st.LayerDir(d), "file")); err == nil {
		need.Missing(t, "systemd-tmpfiles", "it removes nothing here")
	}
	if st.HasLayer(d) {
		t.Error("a layer that lost a file is trusted")
	}
}
