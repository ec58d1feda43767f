package seal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/oci/store/seal"
)

// tree is a directory with some of everything, the same each time.
func tree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "fs")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "a", "b"), 0o755),
		os.WriteFile(filepath.Join(root, "a", "file"), []byte("text"), 0o600),
		os.WriteFile(filepath.Join(root, "empty"), nil, 0o600),
		os.Chtimes(filepath.Join(root, "a", "file"), time.Time{}, time.Unix(1, 0)),
		os.Chtimes(filepath.Join(root, "empty"), time.Time{}, time.Unix(1, 0)),
		os.Symlink("nowhere", filepath.Join(root, "link")),
		unix.Lutimes(filepath.Join(root, "link"), make([]unix.Timeval, 2)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func survey(t *testing.T, root string) seal.Seal {
	t.Helper()
	s, problems, err := seal.Survey(t.Context(), root, seal.Options{Contents: true})
	if err != nil || problems != nil {
		t.Fatal(problems, err)
	}
	return s
}

// TestDiffers changes one thing of a tree at a time.
func TestDiffers(t *testing.T) {
	was := survey(t, tree(t))
	if was.Entries != 5 || was.Bytes != 4 {
		t.Errorf("%+v, want 5 entries with 4 bytes", was)
	}
	if why := was.Differs(survey(t, tree(t))); why != "" {
		t.Errorf("two trees that are the same: %s", why)
	}
	for want, change := range map[string]func(at func(string) string) error{
		"it had 5 files with 4 bytes, and has 4 with 4": func(at func(string) string) error { return os.Remove(at("empty")) },
		"a name, size, mode or date":                    func(at func(string) string) error { return os.Rename(at("empty"), at("full")) },
		"mode or date differs":                          func(at func(string) string) error { return os.Chmod(at("a/b"), 0o700) },
		"or date differs":                               func(at func(string) string) error { return os.Chtimes(at("empty"), time.Time{}, time.Unix(2, 0)) },
		"date differs": func(at func(string) string) error {
			return errors.Join(os.Remove(at("link")), os.Symlink("somehow", at("link")), unix.Lutimes(at("link"), make([]unix.Timeval, 2)))
		},
		"the content of its files": func(at func(string) string) error {
			return errors.Join(os.WriteFile(at("a/file"), []byte("tixt"), 0o600), os.Chtimes(at("a/file"), time.Time{}, time.Unix(1, 0)))
		},
	} {
		root := tree(t)
		if err := change(func(name string) string { return filepath.Join(root, name) }); err != nil {
			t.Fatal(err)
		}
		if why := was.Differs(survey(t, root)); !strings.Contains(why, want) {
			t.Errorf("%q, want %q", why, want)
		}
	}
}

// TestObject names the first entries that are objected to, and no more.
func TestObject(t *testing.T) {
	_, problems, err := seal.Survey(t.Context(), tree(t), seal.Options{Object: func(string, *unix.Stat_t) string { return "is odd" }})
	if got := strings.Join(problems, ", "); err != nil || got != `"." is odd, "a" is odd, "a/b" is odd` {
		t.Errorf("%s, %v", got, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := seal.Survey(ended, tree(t), seal.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
