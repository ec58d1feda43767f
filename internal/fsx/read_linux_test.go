package fsx_test

import (
	"errors"
	"io/fs"
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

// TestRegular: what is in the place of a file holds nobody up, and is not followed.
func TestRegular(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.WriteFile(at("file"), []byte("12345"), 0o600), syscall.Mkfifo(at("pipe"), 0o600), os.Symlink("file", at("link")), os.Symlink("gone", at("dangling")))
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := fsx.ReadRegular(at("file"), 5); err != nil || string(raw) != "12345" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := fsx.ReadRegular(at("file"), 4); !errors.Is(err, fsx.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	for _, name := range []string{"pipe", "link", "dangling", "."} {
		if raw, err := fsx.ReadRegular(at(name), 5); !errors.Is(err, fsx.ErrNotRegular) {
			t.Errorf("reading %s: %q, %v", name, raw, err)
		}
		if err := fsx.Truncate(at(name), 1); name != "." && !errors.Is(err, fsx.ErrNotRegular) || err == nil {
			t.Errorf("cutting %s: %v", name, err)
		}
		if file, err := fsx.AppendFile(at(name), 0o600); name != "." && !errors.Is(err, fsx.ErrNotRegular) || err == nil {
			t.Errorf("adding to %s: %v, %v", name, file, err)
		}
	}
	if _, err := fsx.ReadRegular(at("none"), 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if err := fsx.Truncate(at("file"), 1); err != nil {
		t.Error(err)
	}
	if raw, err := fsx.ReadRegular(at("file"), 5); err != nil || string(raw) != "1" {
		t.Errorf("%q, %v", raw, err)
	}
}

// TestAppendFileWithAReader: a pipe is refused also where somebody reads from it.
func TestAppendFileWithAReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsx.AppendFile(path, 0o600); !errors.Is(err, fsx.ErrNotRegular) {
		t.Errorf("%v, want ErrNotRegular", err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
}

// TestRemoveLock: a lock that somebody holds stays, and what a link leads to.
func TestRemoveLock(t *testing.T) {
	path, outside := t.TempDir(), filepath.Join(t.TempDir(), "file")
	at := func(name string) string { return filepath.Join(path, name) }
	unlock, err := fsx.TryLock(at("held"))
	err = errors.Join(err, os.WriteFile(at("free"), nil, 0o600), syscall.Mkfifo(at("pipe"), 0o600), os.WriteFile(outside, nil, 0o600), os.Symlink(outside, at("link")))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{"held": true, "free": false, "pipe": false, "none": false, "link": true} {
		if err := fsx.RemoveLock(dir, name); (err != nil) != (name == "link") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(at(name)); (err == nil) != stays {
			t.Errorf("%s: %v, stays %v", name, err, stays)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	if err := errors.Join(unlock(), dir.Close()); err != nil {
		t.Error(err)
	}
}
