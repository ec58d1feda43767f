package fsx_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
)

// nameless makes a file with a content.
func nameless(t *testing.T, dir, content string) *os.File {
	t.Helper()
	f, err := fsx.Nameless(dir, 0o600)
	if errors.Is(err, errors.ErrUnsupported) {
		need.Missing(t, "tmpfile", err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNameless(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"one", "another"} { // the second takes the place of the first
		f := nameless(t, dir, content)
		if got, err := os.ReadFile(path); err == nil && string(got) == content {
			t.Error("it has a name already")
		}
		if err := fsx.Name(f, path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
		only(t, dir, "f")
	}
}

// What has the name and cannot be replaced stays, and nothing is left beside it.
func TestNameOfADirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := fsx.Name(nameless(t, dir, "x"), path); err == nil {
		t.Error("a directory was replaced")
	}
	only(t, dir, "f")
}

func TestNamelessWhereThereAreNone(t *testing.T) {
	defer fsx.WithoutNameless()()
	if _, err := fsx.Nameless(t.TempDir(), 0o600); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
}
