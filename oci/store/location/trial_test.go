package location_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
)

// TestTry leaves a place as it was: without anything, or with the store that is there.
func TestTry(t *testing.T) {
	base := t.TempDir()
	env := func(name string) string {
		return map[string]string{"XDG_DATA_HOME": filepath.Join(base, "data")}[name]
	}
	once := func() (dir string) {
		t.Helper()
		trial, err := location.Try(env, "")
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(trial.Dir); err != nil || !st.IsDir() {
			t.Errorf("there is no place for trials: %v", err)
		}
		s, err := store.Look(trial.Dirs)
		if err != nil {
			t.Fatal(err)
		}
		if images, err := s.Images(); err != nil || len(images) > 0 {
			t.Errorf("%v, %v", images, err)
		}
		if err := os.Mkdir(filepath.Join(trial.Dir, "something"), 0); err != nil {
			t.Fatal(err)
		}
		if err := trial.Close(); err != nil {
			t.Error(err)
		}
		return trial.Dirs.Data
	}
	data := once()
	if entries, err := os.ReadDir(base); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
	dirs, err := location.Find(env, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dirs); err != nil {
		t.Fatal(err)
	}
	once()
	if _, err := store.Open(location.Dirs{Data: data, Layers: data}); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Join(data, "tmp")); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
	if where, ok := location.Recall(data); !ok || where != data {
		t.Errorf("the place that was remembered is %q now", where)
	}
}

// TestTryInVain: a place that will not do is named, and nothing is left either.
func TestTryInVain(t *testing.T) {
	base := t.TempDir()
	if err := os.WriteFile(filepath.Join(base, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	trial, err := location.Try(func(string) string { return filepath.Join(base, "file", "store") }, "")
	if err == nil {
		t.Fatal("a store below a file")
	}
	if err := trial.Close(); err != nil {
		t.Error(err)
	}
	if trial.Dir != "" || !errors.As(err, new(*location.DirError)) {
		t.Errorf("%q: %v", trial.Dir, err)
	}
}
