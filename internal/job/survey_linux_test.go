package job

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

func TestFingerprint(t *testing.T) {
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
		got, err := Fingerprint(t.Context(), record.Mount{Source: c.source, Mode: c.mode}, created)
		if err != nil || !got.Same(c.want) {
			t.Errorf("%s, %s: %+v, %v; want %+v", c.source, c.mode, got, err, c.want)
		}
	}
	if _, err := Fingerprint(t.Context(), record.Mount{Source: filepath.Join(dir, "none")}, created); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Fingerprint(ended, record.Mount{Source: dir}, created); !errors.Is(err, context.Canceled) {
		t.Errorf("out of time: %v", err)
	}
	for i := range surveyFiles {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Fingerprint(t.Context(), record.Mount{Source: dir}, created); !errors.Is(err, errTooMany) {
		t.Errorf("of very many files: %v", err)
	}
}

// One of the processes of a job looks at its mounts: the others have the same.
func TestFirstRank(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    bool
	}{
		{nil, true},
		{[]string{"SLURM_PROCID=0", "SLURM_JOB_ID=7"}, true},
		{[]string{"SLURM_PROCID=3"}, false},
		{[]string{"OMPI_COMM_WORLD_RANK=1"}, false},
	} {
		a := &attempt{Runner: &Runner{Environ: c.environ}}
		if got := a.firstRank(); got != c.want {
			t.Errorf("%q: %v", c.environ, got)
		}
	}
}
