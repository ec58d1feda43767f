package location

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Trial is a store that is only looked at, and a place beside its layers in which things can be tried.
type Trial struct {
	Dirs  Dirs
	Dir   string // empty, on the file system of the layers; Close removes it
	fresh []string
}

// Try finds the directories of a store as Find does, and tries whether layers can be kept there even where they are kept already. Close
// has to follow, also after an error: it takes away again what was not there before, as long as nobody else has put something into it.
func Try(env func(string) string, layers string, roots ...string) (t *Trial, err error) {
	t = &Trial{fresh: absent(env, layers, roots)}
	if t.Dirs, err = Find(env, layers, roots...); err != nil {
		return t, err
	}
	if err := Own(t.Dirs.Data); err != nil { // as store.Open does
		return t, fmt.Errorf("opening the store: %w", err)
	}
	t.reclaim()
	if err := tryDir(t.Dirs.Layers); err != nil {
		return t, &NoLayerRootError{Tried: []error{err}}
	}
	if t.Dir, err = fsx.TempDir(t.Dirs.Layers); err != nil { // if this process is killed, Reclaim and the next trial look there
		t.Dir = ""
		return t, fmt.Errorf("making a directory beside the layers: %w", err)
	}
	return t, nil
}

// reclaim removes what trials have left that were killed, where nobody may ever open a store. What it cannot remove is left to who does.
func (t *Trial) reclaim() {
	for _, dir := range t.Dirs.Temps() {
		left, _ := fsx.DeadTemps(dir)
		for _, path := range left {
			_ = fsx.RemoveAll(path)
		}
	}
}

// Close removes what the trial has made.
func (t *Trial) Close() (err error) {
	if t.Dir != "" {
		err = fsx.RemoveAll(t.Dir)
	}
	for _, path := range t.fresh {
		if _, missing := os.Lstat(path); missing != nil {
			continue // it was not made; on a read-only file system even its removal would fail by that
		}
		switch gone := os.Remove(path); {
		case gone == nil, errors.Is(gone, fs.ErrNotExist), errors.Is(gone, fs.ErrExist): // something is in it by now: ENOTEMPTY
		default:
			err = errors.Join(err, gone)
		}
	}
	return err
}

// absent is what Find may make and is not there, what lies deepest first.
func absent(env func(string) string, layers string, roots []string) (paths []string) {
	look := func(path string) {
		for ; path != "/" && path != "." && !slices.Contains(paths, path); path = filepath.Dir(path) {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				return
			}
			paths = append(paths, path)
		}
	}
	if layers == "" {
		layers = env("CORACLE_LAYERS")
	}
	if abs, err := filepath.Abs(layers); err == nil && layers != "" {
		look(abs)
	}
	for _, root := range roots {
		look(filepath.Clean(root))
	}
	for _, c := range candidates(env) {
		look(c.dir)
	}
	if data, _, err := dataRoot(env); err == nil {
		if file, err := memory(data); err == nil {
			look(file)
		}
		look(data)
	}
	slices.SortFunc(paths, func(a, b string) int { return len(b) - len(a) })
	return paths
}
