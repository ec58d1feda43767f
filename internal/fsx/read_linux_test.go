package fsx_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.WriteFile(file, []byte("12345"), 0o600), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	if raw, err := fsx.ReadFile(file, 5); err != nil || string(raw) != "12345" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := fsx.ReadFile(file, 4); !errors.Is(err, fsx.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := fsx.ReadFile(dir, 4); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a directory: %v", err)
	}
	if raw, err := fsx.ReadFile(pipe, 5); err != nil || len(raw) != 0 {
		t.Errorf("a pipe without a writer: %q, %v", raw, err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0) // which waits for no reader
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("123456"); err != nil {
		t.Fatal(err)
	}
	if _, err := fsx.ReadFile(pipe, 5); !errors.Is(err, fsx.ErrTooLarge) { // the end is not waited for
		t.Errorf("a pipe: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
