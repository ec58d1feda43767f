package fingerprint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

func TestOf(t *testing.T) {
	dir := t.TempDir()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	put := func(name, text string, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	put("old", "four", created.Add(-2*time.Hour))
	put("deep/er/older", "more", created.Add(-time.Hour))
	put("made", "by the job", created.Add(time.Second))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source, mode string
		want         record.Fingerprint
	}{
		{dir, "ro", record.Fingerprint{Files: 3, Bytes: 18, Newest: created.Add(time.Second)}},
		{dir, "rw", record.Fingerprint{Files: 2, Bytes: 8, Newest: created.Add(-time.Hour)}},
		{link, "rw", record.Fingerprint{Files: 2, Bytes: 8, Newest: created.Add(-time.Hour)}},
		{filepath.Join(dir, "old"), "ro", record.Fingerprint{Files: 1, Bytes: 4, Newest: created.Add(-2 * time.Hour)}},
	} {
		got, err := Of(t.Context(), record.Mount{Source: c.source, Mode: c.mode}, created)
		if err != nil || !got.Same(c.want) {
			t.Errorf("%s, %s: %+v, %v; want %+v", c.source, c.mode, got, err, c.want)
		}
	}
	if _, err := Of(t.Context(), record.Mount{Source: filepath.Join(dir, "none")}, created); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Of(ended, record.Mount{Source: dir}, created); !errors.Is(err, context.Canceled) {
		t.Errorf("out of time: %v", err)
	}
	for i := range most {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Of(t.Context(), record.Mount{Source: dir}, created); !errors.Is(err, ErrTooMany) {
		t.Errorf("of very many files: %v", err)
	}
}

func TestChanged(t *testing.T) {
	dir := t.TempDir()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, at := range map[string]time.Time{"old": since.Add(-time.Hour), "deep/new": since.Add(time.Second), "rounded": since.Add(-4 * time.Millisecond)} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("four"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	mount := record.Mount{Source: dir, Target: "/out"}
	files, whole := Changed(t.Context(), mount, since)
	if !whole || len(files) != 2 || files[0].Path != "/out/deep/new" || files[0].Bytes != 4 || files[1].Path != "/out/rounded" {
		t.Errorf("%v, %v", files, whole)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if files, whole := Changed(ended, mount, since); whole || len(files) > 0 {
		t.Errorf("out of time: %v, %v", files, whole)
	}
	if _, whole := Changed(t.Context(), record.Mount{Source: filepath.Join(dir, "none")}, since); whole {
		t.Error("of nothing")
	}
}
