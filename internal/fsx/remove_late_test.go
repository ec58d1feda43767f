package fsx

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRemoveAllBesideAnother: two that remove one tree both find it gone.
func TestRemoveAllBesideAnother(t *testing.T) {
	for range 300 {
		root := filepath.Join(t.TempDir(), "leaving")
		for i := range 20 {
			if err := os.MkdirAll(filepath.Join(root, strconv.Itoa(i), "a", "b"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		var removers sync.WaitGroup
		for range 2 {
			removers.Go(func() {
				if err := RemoveAll(root); err != nil {
					t.Error(err)
				}
			})
		}
		removers.Wait()
	}
}

// TestRemoveAllOfWhatStillGrows: who was on the way into a directory when it was taken out of sight may still write into it.
func TestRemoveAllOfWhatStillGrows(t *testing.T) {
	for range 300 {
		root := filepath.Join(t.TempDir(), "leaving")
		inner := filepath.Join(root, "a", "b")
		if err := os.MkdirAll(inner, 0o700); err != nil {
			t.Fatal(err)
		}
		var writers sync.WaitGroup
		for _, path := range []string{root, inner} {
			dir, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			writers.Go(func() {
				for i := range maxLate / 4 {
					err := unix.Symlinkat("mark", int(dir.Fd()), strconv.Itoa(i))
					if err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Error(err)
					}
				}
			})
		}
		err := RemoveAll(root)
		writers.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(root); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("left: %v", err)
		}
	}
}
