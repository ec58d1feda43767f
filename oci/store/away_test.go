package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
)

// leadAway puts a link in the place of a directory of a store, to one of the user's, and returns what looks that nothing is missing there.
func leadAway(t *testing.T, dir string) (check func()) {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "thesis"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, "thesis", "text"), "all of it")
	write(t, filepath.Join(home, "id_ed25519"), "a key")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Rename(dir, filepath.Join(t.TempDir(), "away")), os.Symlink(home, dir)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		for _, name := range []string{"thesis/text", "id_ed25519"} {
			if _, err := os.Lstat(filepath.Join(home, name)); err != nil {
				t.Error(err)
			}
		}
		if left := names(t, home); len(left) != 2 {
			t.Errorf("in the user's directory: %q", left)
		}
	}
}

// TestLinksInTheStore: a link in the place of a directory of the store is refused, also one that a job puts there when the store is open.
func TestLinksInTheStore(t *testing.T) {
	for _, name := range []string{
		"upper", "retired", "locks", "tmp", "layers", "layers/sha256", "layers/stacks", "images", "images/refs", "images/sha256", "blobs", "blobs/sha256",
		"kept", "layer-roots",
	} {
		t.Run(name, func(t *testing.T) {
			st := open(t)
			dir := filepath.Join(st.Dirs().Data, name)
			check := leadAway(t, dir)
			_, err := st.Reclaim()
			t.Logf("the store that was open: %v", err)
			check()
			_, err = store.Open(st.Dirs())
			refused, ok := errors.AsType[*location.DirError](err)
			if !ok || refused.Dir != dir || !strings.Contains(err.Error(), dir+" is a symbolic link") || !strings.Contains(refused.Hint(), "remove the link") {
				t.Errorf("%v", err)
			}
			check()
		})
	}
}

// TestFileInPlaceOfADirectory: it is told as what it is.
func TestFileInPlaceOfADirectory(t *testing.T) {
	st := open(t)
	dir := filepath.Join(st.Dirs().Data, "retired")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "")
	if _, err := store.Open(st.Dirs()); err == nil || !strings.Contains(err.Error(), dir+" is there, and is no directory") {
		t.Errorf("%v", err)
	}
}

// TestPipeInPlaceOfTheCount: who removes a layer does not wait for its reader.
func TestPipeInPlaceOfTheCount(t *testing.T) {
	st := open(t)
	put(t, st, image(t, "a:1", addLayer(t, st, "a")))
	file := filepath.Join(st.Dirs().Layers, "layers", "removals")
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Remove("a:1"); !errors.Is(err, fsx.ErrNotRegular) {
		t.Errorf("%v, want ErrNotRegular", err)
	}
}
