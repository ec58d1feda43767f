package location_test

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

func env(vars map[string]string) func(string) string { return func(k string) string { return vars[k] } }

func TestFind(t *testing.T) {
	base := t.TempDir()
	in := func(name string) string { return filepath.Join(base, name) }
	for _, c := range []struct {
		name         string
		env          map[string]string
		flag         string
		data, layers string
	}{
		{"home", map[string]string{"HOME": in("home")}, "", in("home/.local/share/coracle"), in("home/.local/share/coracle")},
		{"XDG", map[string]string{"HOME": in("home"), "XDG_DATA_HOME": in("xdg")}, "", in("xdg/coracle"), in("xdg/coracle")},
		{"a relative XDG is ignored", map[string]string{"HOME": in("home"), "XDG_DATA_HOME": "xdg"}, "", in("home/.local/share/coracle"), in("home/.local/share/coracle")},
		{"root", map[string]string{"HOME": in("home"), "XDG_DATA_HOME": in("xdg"), "CORACLE_ROOT": in("root")}, "", in("root"), in("root")},
		{"an empty root is none", map[string]string{"HOME": in("home"), "CORACLE_ROOT": ""}, "", in("home/.local/share/coracle"), in("home/.local/share/coracle")},
		{"layers", map[string]string{"CORACLE_ROOT": in("root2"), "CORACLE_LAYERS": in("l")}, "", in("root2"), in("l")},
		{"the flag comes first", map[string]string{"CORACLE_ROOT": in("root2"), "CORACLE_LAYERS": in("l")}, in("flag"), in("root2"), in("flag")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time it is remembered
				dirs, err := location.Find(env(c.env), c.flag)
				if err != nil || dirs.Data != c.data || dirs.Layers != c.layers || dirs.Note != "" {
					t.Fatalf("Find = %+v, %v; want %s, %s", dirs, err, c.data, c.layers)
				}
				if _, err := store.Open(dirs); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestFindWithoutHome: who has no $HOME has the home directory that the system knows, if there is one.
func TestFindWithoutHome(t *testing.T) {
	home := t.TempDir()
	defer location.PretendHome(home)()
	if dirs, err := location.Find(env(nil), ""); err != nil || dirs.Data != filepath.Join(home, ".local/share/coracle") {
		t.Errorf("%+v, %v", dirs, err)
	}
	if _, err := location.Find(env(map[string]string{"HOME": "relative"}), ""); !errors.Is(err, location.ErrNoHome) {
		t.Errorf("a relative home: %v", err)
	}
	defer location.PretendHome("")()
	if _, err := location.Find(env(nil), ""); !errors.Is(err, location.ErrNoHome) {
		t.Errorf("located without any directory: %v", err)
	}
}

func TestFindRefusesWhatCannotHoldLayers(t *testing.T) {
	for name, layers := range map[string]string{"procfs": "/proc/self", "no directory": "/dev/null/x"} {
		_, err := location.Find(env(map[string]string{"CORACLE_ROOT": t.TempDir()}), layers)
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	loose := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(loose, "something"), 0o700), os.Chmod(loose, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := location.Find(env(map[string]string{"CORACLE_ROOT": t.TempDir()}), loose); !errors.Is(err, location.ErrNotOwned) {
		t.Errorf("a directory everybody can write: %v, want ErrNotOwned", err)
	}
}

// full makes every new file or directory below root fail as on a full disk.
func full(t *testing.T, root string) {
	t.Helper()
	t.Cleanup(fsx.InjectFaults(func(op, path string) error {
		if op != "remove" && strings.HasPrefix(path, root) {
			return &fs.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
		}
		return nil
	}))
}

func TestFindOnAFullDisk(t *testing.T) {
	base := t.TempDir()
	fresh, used, named := filepath.Join(base, "fresh"), filepath.Join(base, "used"), filepath.Join(base, "named")
	for _, root := range []string{used, named} {
		if _, err := store.Open(location.Dirs{Data: root, Layers: root}); err != nil {
			t.Fatal(err)
		}
	}
	full(t, base)
	for name, c := range map[string]struct{ flag, variable string }{"flag": {named, ""}, "variable": {"", named}} {
		dirs, err := location.Find(env(map[string]string{"CORACLE_ROOT": fresh, "CORACLE_LAYERS": c.variable}), c.flag)
		if err != nil || dirs.Layers != named {
			t.Errorf("%s: Find = %+v, %v; want %s, which has layers", name, dirs, err, named)
		}
	}
	home := map[string]string{"XDG_DATA_HOME": base}
	if err := os.Rename(used, filepath.Join(base, "coracle")); err != nil {
		t.Fatal(err)
	}
	if dirs, err := location.Find(env(home), ""); err != nil || dirs.Layers != filepath.Join(base, "coracle") {
		t.Errorf("Find = %+v, %v; want the root that has layers", dirs, err)
	}
	home["XDG_DATA_HOME"] = fresh
	dirs, err := location.Find(env(home), "")
	if !fsx.IsFull(err) || errors.Is(err, location.ErrNoLayerRoot) {
		t.Errorf("Find = %+v, %v; want that the disk is full", dirs, err)
	}
	if _, err := location.Find(env(home), fresh); !fsx.IsFull(err) || errors.Is(err, location.ErrNoLayerRoot) {
		t.Errorf("--layers: %v; want that the disk is full", err)
	}
	if _, err := os.Stat(filepath.Join(fresh, "coracle", "layer-roots")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was remembered: %v", err)
	}
}

func TestNoLayerRootErrorSaysWhatWasTried(t *testing.T) {
	err := error(&location.NoLayerRootError{Tried: []error{errors.New("/a cannot"), errors.New("/b cannot")}})
	if !errors.Is(err, location.ErrNoLayerRoot) || !strings.Contains(err.Error(), "/a cannot; /b cannot") {
		t.Errorf("%v", err)
	}
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "--layers") {
		t.Error("no hint")
	}
}

// Of the directories that a configuration names, the one with layers counts, else the first that can hold some.
func TestFindConfigured(t *testing.T) {
	base := t.TempDir()
	home := env(map[string]string{"XDG_DATA_HOME": base})
	file, first, second := filepath.Join(base, "file"), filepath.Join(base, "first"), filepath.Join(base, "sub", "second")
	if err := fsx.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flag  string
		roots []string
		want  string
	}{
		{"", []string{file, second, first}, second},
		{"", []string{first, second}, first},
		{base, []string{first}, base},
	} {
		dirs, err := location.Find(home, c.flag, c.roots...)
		if err != nil || dirs.Layers != c.want || dirs.Note != "" {
			t.Errorf("%v: %+v, %v", c.roots, dirs, err)
		}
	}
	dirs, err := location.Find(home, "", second)
	if err == nil {
		_, err = store.Open(dirs)
	}
	if err != nil {
		t.Fatal(err)
	}
	if dirs, err := location.Find(home, "", first, second); err != nil || dirs.Layers != second {
		t.Errorf("another one than before: %+v, %v", dirs, err)
	}
	if _, err := location.Find(home, "", file); !errors.Is(err, location.ErrNoLayerRoot) {
		t.Error(err)
	}
}
