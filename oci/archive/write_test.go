package archive_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/oci/archive"
)

// entries are the names in a directory.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// refuse makes the file system fail at a step, as one without nameless files at the step "scratch".
func refuse(t *testing.T, step string, err error) {
	t.Helper()
	t.Cleanup(fsx.InjectFaults(func(op, path string) error {
		if op == step {
			return &fs.PathError{Op: op, Path: path, Err: err}
		}
		return nil
	}))
}

// A file appears whole or not at all, new or in the place of an old one, and while it is written there is nothing that a killed
// process could leave, where the file system is able to.
func TestWriteFile(t *testing.T) {
	for _, named := range []bool{false, true} {
		for _, before := range []string{"", "old"} {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.tar")
			if named {
				refuse(t, "scratch", errors.ErrUnsupported)
			} else if f, err := fsx.Nameless(dir, 0o600); errors.Is(err, errors.ErrUnsupported) {
				need.Missing(t, "tmpfile", err.Error())
			} else if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			if before != "" {
				if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			was := len(entries(t, dir))
			failure := errors.New("no more of it")
			err := archive.WriteFile(path, func(w io.Writer) error {
				_, err := io.WriteString(w, strings.Repeat("half", 1<<20))
				return errors.Join(err, failure)
			})
			if now, _ := os.ReadFile(path); !errors.Is(err, failure) || string(now) != before || len(entries(t, dir)) != was {
				t.Errorf("after a failure: %v, %.10q, %q", err, now, entries(t, dir))
			}
			err = archive.WriteFile(path, func(w io.Writer) error {
				if during := entries(t, dir); len(during) != was && !named {
					t.Errorf("while it is written there is %q", during)
				}
				_, err := io.WriteString(w, "new")
				return err
			})
			if now, _ := os.ReadFile(path); err != nil || string(now) != "new" || len(entries(t, dir)) != 1 {
				t.Errorf("after a success: %v, %q, %q", err, now, entries(t, dir))
			}
		}
	}
}

// What is wrong with the file is said with its name and the next step.
func TestWriteFileSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, step string
		err              error
		says, hint       string
	}{
		{"no directory", filepath.Join(dir, "none/x"), "", nil, "no such file", "make the directory"},
		{"a file for a directory", filepath.Join(file, "x"), "", nil, "not a directory", "make the directory"},
		{"a directory", dir, "", nil, "is a directory", "a name that is free"},
		{"full", "/dev/full", "", nil, "no space left", "make room there"},
		{"over the quota", filepath.Join(dir, "x"), "scratch", syscall.EDQUOT, "quota", "make room there"},
		{"not allowed", filepath.Join(dir, "x"), "scratch", syscall.EACCES, "permission denied", "may write to"},
		{"read-only", filepath.Join(dir, "x"), "link", syscall.EROFS, "read-only", "may write to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.step != "" {
				refuse(t, c.step, c.err)
			}
			err := archive.WriteFile(c.path, func(w io.Writer) error {
				_, err := io.WriteString(w, "x")
				return err
			})
			out, ok := errors.AsType[*archive.OutputError](err)
			if !ok || strings.Count(err.Error(), c.path) != 1 || !strings.Contains(err.Error(), c.says) || !strings.Contains(out.Hint(), c.hint) {
				t.Errorf("%v, hint %v", err, out)
			}
		})
	}
}
