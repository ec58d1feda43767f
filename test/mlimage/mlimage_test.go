package mlimage

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// names lists the entries of an archive.
func names(t *testing.T, archive []byte) (all []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h.Name+string(h.Typeflag))
	}
}

func TestChangesMakeALayer(t *testing.T) {
	root := t.TempDir()
	write := func(name, body string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"d", "d/sub", "gone"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"d/a", "d/b", "d/same", "d/sub/f", "gone/x"} {
		write(name, name)
	}
	if err := errors.Join(os.Link(filepath.Join(root, "d/a"), filepath.Join(root, "d/link")), os.Symlink("a", filepath.Join(root, "d/sym"))); err != nil {
		t.Fatal(err)
	}
	var first bytes.Buffer
	seen, err := writeChanges(&first, root, snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"d/5", "d/a0", "d/b0", "d/link1", "d/same0", "d/sub/5", "d/sub/f0", "d/sym2", "gone/5", "gone/x0"}
	if got := names(t, first.Bytes()); !slices.Equal(got, want) {
		t.Errorf("the first layer holds %q, want %q", got, want)
	}
	write("d/sub/f", "changed")
	write("d/b", "changed")
	if err := errors.Join(os.Remove(filepath.Join(root, "d/same")), os.RemoveAll(filepath.Join(root, "gone"))); err != nil {
		t.Fatal(err)
	}
	write("new", "")
	var second bytes.Buffer
	if _, err = writeChanges(&second, root, seen); err != nil {
		t.Fatal(err)
	}
	want = []string{"d/5", "d/b0", "d/sub/5", "d/sub/f0", "new0", "d/.wh.same0", ".wh.gone0"}
	if got := names(t, second.Bytes()); !slices.Equal(got, want) {
		t.Errorf("the second layer holds %q, want %q", got, want)
	}
}

func TestForget(t *testing.T) {
	cache := t.TempDir()
	now := time.Now()
	const hour, week = time.Hour, 7 * 24 * time.Hour
	for name, age := range map[string]time.Duration{"mlimage-old": week, "mlimage-new": hour, ".build-old": week, "other-old": week} {
		dir := filepath.Join(cache, name)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Chtimes(dir, now, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	if err := Forget(cache, now.Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left are %q, %v", left, err)
	}
}

func TestMissingImage(t *testing.T) {
	t.Setenv(cacheEnv, t.TempDir())
	if dir, err := Small.Find(); !errors.Is(err, ErrMissing) {
		t.Errorf("an empty cache holds %q, %v", dir, err)
	}
}
