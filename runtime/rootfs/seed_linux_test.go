package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nest is an image's root beside what it must not lead to, and a seed for the volume /v.
func nest(t *testing.T) (root string, s Seed) {
	t.Helper()
	dir := t.TempDir()
	root = filepath.Join(dir, "root")
	s = Seed{Target: []byte("/v"), Staging: filepath.Join(dir, "staging"), Ready: filepath.Join(dir, "ready"), Data: filepath.Join(dir, "data")}
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "v", "sub"), 0o755), os.Mkdir(s.Staging, 0o700), os.Mkdir(s.Data, 0o755), os.Mkdir(filepath.Join(dir, "secret"), 0o755),
		os.WriteFile(filepath.Join(dir, "secret", "key"), []byte("key"), 0o600),
		os.WriteFile(filepath.Join(root, "v", "sub", "file"), []byte("text"), 0o640),
		os.Symlink("../../secret", filepath.Join(root, "v", "out")), unix.Mkfifo(filepath.Join(root, "v", "pipe"), 0o600),
		os.WriteFile(filepath.Join(root, "v", "tool"), nil, 0o755), os.Chmod(filepath.Join(root, "v", "tool"), 0o755|fs.ModeSetuid|fs.ModeSetgid),
		os.Chmod(filepath.Join(root, "v"), 0o751),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	old := time.Unix(1e9, 0)
	if err := os.Chtimes(filepath.Join(root, "v"), old, old); err != nil {
		t.Fatal(err)
	}
	return root, s
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(path, dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

var all = []string{"", "/out", "/pipe", "/sub", "/sub/file", "/tool"}

func TestSeedCopies(t *testing.T) {
	root, s := nest(t)
	if err := s.Fill(root); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, s.Data); !slices.Equal(got, all) {
		t.Errorf("%q", got)
	}
	for name, want := range map[string]fs.FileMode{"": fs.ModeDir | 0o751, "sub/file": 0o640, "tool": 0o755, "pipe": fs.ModeNamedPipe | 0o600} {
		if st, err := os.Lstat(filepath.Join(s.Data, name)); err != nil || st.Mode() != want {
			t.Errorf("%q: %v, %v, want %v", name, st, err, want)
		}
	}
	if st, err := os.Stat(s.Data); err != nil || st.ModTime().Unix() != 1e9 {
		t.Errorf("dated %v, %v", st.ModTime(), err)
	}
	if to, err := os.Readlink(filepath.Join(s.Data, "out")); err != nil || to != "../../secret" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if _, err := os.Lstat(s.Ready); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// What the volume has stays; nothing is copied beside it, unless that was begun.
func TestSeedLeavesWhatIsThere(t *testing.T) {
	root, s := nest(t)
	own := filepath.Join(s.Data, "own")
	if err := os.WriteFile(own, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Fill(root); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, s.Data); !slices.Equal(got, []string{"", "/own"}) {
		t.Errorf("%q", got)
	}
	for _, err := range []error{os.Mkdir(s.Ready, 0o700), os.WriteFile(filepath.Join(s.Ready, "own"), []byte("other"), 0o600), os.Mkdir(filepath.Join(s.Ready, "more"), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Target = nil
	if err := s.Fill(root); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, s.Data); !slices.Equal(got, []string{"", "/more", "/own"}) {
		t.Errorf("moved on: %q", got)
	}
	if st, err := os.Stat(own); err != nil || st.Size() != 0 {
		t.Errorf("what the volume had was replaced: %v, %v", st, err)
	}
}

// Whatever the image has in the place of the volume, nothing but the image is read.
func TestSeedStaysInTheImage(t *testing.T) {
	for name, target := range map[string]string{
		"a link out": "../secret", "an absolute link": "/secret", "a link to the root's parent": "../../../secret", "a file": "", "a loop": "v",
	} {
		t.Run(name, func(t *testing.T) {
			root, s := nest(t)
			place := filepath.Join(root, "v")
			if err := os.RemoveAll(place); err != nil {
				t.Fatal(err)
			}
			err := os.WriteFile(place, nil, 0o600)
			if target != "" {
				err = errors.Join(os.Remove(place), os.Symlink(target, place))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Fill(root); err != nil {
				t.Error(err)
			}
			if got := entries(t, s.Data); len(got) > 1 {
				t.Errorf("%q", got)
			}
		})
	}
	root, s := nest(t)
	if err := os.Symlink("/v", filepath.Join(root, "way")); err != nil {
		t.Fatal(err)
	}
	s.Target = []byte("/way/sub")
	if err := s.Fill(root); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, s.Data); !slices.Equal(got, []string{"", "/file"}) {
		t.Errorf("by a link within: %q", got)
	}
}

// TestSeedIsCutOff: whatever a seed was cut off at, the next one ends with all of it.
func TestSeedIsCutOff(t *testing.T) {
	for name, cut := range map[string]func(s Seed, root string) error{
		"while copying": func(s Seed, _ string) error { return os.MkdirAll(filepath.Join(s.Staging, "copy", "half"), 0o700) },
		"before moving": func(s Seed, root string) error { return os.Rename(filepath.Join(root, "v"), s.Ready) },
		"while moving": func(s Seed, root string) error {
			return errors.Join(os.Rename(filepath.Join(root, "v"), s.Ready), os.Rename(filepath.Join(s.Ready, "sub"), filepath.Join(s.Data, "sub")))
		},
		"at the end": func(s Seed, root string) error {
			return errors.Join(os.Remove(s.Data), os.Rename(filepath.Join(root, "v"), s.Data), os.Mkdir(s.Ready, 0o751))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, s := nest(t)
			if err := cut(s, root); err != nil {
				t.Fatal(err)
			}
			if name == "while copying" { // each run has a directory of its own
				s.Staging += "-next"
				if err := os.Mkdir(s.Staging, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Fill(root); err != nil {
				t.Fatal(err)
			}
			if got := entries(t, s.Data); !slices.Equal(got, all) {
				t.Errorf("%q", got)
			}
			if st, err := os.Stat(s.Data); err != nil || st.Mode().Perm() != 0o751 {
				t.Errorf("%v, %v", st, err)
			}
		})
	}
}
