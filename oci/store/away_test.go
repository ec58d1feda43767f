package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
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
			refused, ok := errors.AsType[*store.DirError](err)
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

// TestRememberedLayerRoot: only a place that could have been chosen is believed to have been, and nobody waits for what is no file.
func TestRememberedLayerRoot(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(file, evil string) error{
		"another directory": func(file, evil string) error { return os.WriteFile(file, []byte(evil+"\n"), 0o600) },
		"a pipe":            func(file, _ string) error { return syscall.Mkfifo(file, 0o600) },
		"without an end":    func(file, _ string) error { return os.Symlink("/dev/zero", file) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			first, err := n.locate()
			if err != nil {
				t.Fatal(err)
			}
			file, evil := filepath.Join(first.Data, "layer-roots", host), filepath.Join(n.base, "evil")
			if err := errors.Join(os.Mkdir(evil, 0o700), os.Remove(file), put(file, evil)); err != nil {
				t.Fatal(err)
			}
			if again, err := n.locate(); err != nil || again.Layers != first.Layers {
				t.Errorf("%+v, %v; want %s", again, err, first.Layers)
			}
		})
	}
}

// TestLayerRootIsNotRememberedElsewhere: where a link leads from the directory of what is remembered, nothing is written.
func TestLayerRootIsNotRememberedElsewhere(t *testing.T) {
	n := newNode(t, nil)
	dirs, err := n.locate()
	if err != nil {
		t.Fatal(err)
	}
	check := leadAway(t, filepath.Join(dirs.Data, "layer-roots"))
	if _, err := n.locate(); !strings.Contains(fmt.Sprint(err), "is a symbolic link") {
		t.Errorf("%v", err)
	}
	check()
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
