package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRemove(t *testing.T) {
	runs := Open(t.TempDir())
	far := dead(t)
	far.Host, far.BootID = "gpu07", "another"
	for _, c := range []struct {
		name  string
		make  func() string
		force bool
		err   error
	}{
		{"ended", func() string {
			w := create(t, runs, Run{})
			if err := w.Finish(Result{Cause: Exited}); err != nil {
				t.Fatal(err)
			}
			return w.ID()
		}, false, nil},
		{"lost", func() string { return create(t, runs, Run{Supervisor: dead(t)}).ID() }, false, nil},
		{"damaged", func() string {
			w := create(t, runs, Run{Supervisor: dead(t)})
			writeFile(t, filepath.Join(w.Dir(), "run.json"), "{")
			return w.ID()
		}, false, nil},
		{"running", func() string { return create(t, runs, Run{Supervisor: self(t)}).ID() }, false, ErrRunning},
		{"running, by force", func() string { return create(t, runs, Run{Supervisor: self(t)}).ID() }, true, ErrRunning},
		{"elsewhere", func() string { return create(t, runs, Run{Supervisor: far}).ID() }, false, ErrRunning},
		{"elsewhere, by force", func() string { return create(t, runs, Run{Supervisor: far}).ID() }, true, nil},
	} {
		v, err := runs.Resolve(c.make())
		if err != nil {
			t.Fatal(err)
		}
		if err := runs.Remove(v, c.force); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if _, err := os.Stat(v.Dir); errors.Is(err, os.ErrNotExist) != (c.err == nil) {
			t.Errorf("%s: its directory: %v", c.name, err)
		}
		if err := runs.Remove(v, c.force); !errors.Is(err, c.err) {
			t.Errorf("%s, again: %v", c.name, err)
		}
	}
	if left := fileNames(t, filepath.Join(filepath.Dir(runs.dir), "tmp")); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	if _, err := runs.Resolve("nosuch"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestNotes(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{Supervisor: self(t)})
	for _, text := range []string{" the one for the paper\n", "token=" + canary + " is " + canary} {
		if err := runs.Note(w.ID(), text); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(w.Dir(), notesFile)
	writeFile(t, path, readFile(t, path)+"what is no note\n"+`{"time":"2026-01-01T00:00:00Z","text":"torn`)
	v, err := runs.Get("last")
	if err != nil || len(v.Notes) != 2 || v.Notes[0].Text != "the one for the paper" || v.Notes[0].Time.IsZero() || strings.Contains(v.Notes[1].Text, canary) {
		t.Errorf("%+v, %v", v.Notes, err)
	}
	for _, text := range []string{"", " \n", "\xff", strings.Repeat("x", mostNote+1)} {
		if err := runs.Note(w.ID(), text); !errors.Is(err, ErrNote) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if err := runs.Note("01K00000000000000000000001", "x"); err == nil {
		t.Error("a note on a run that is not there")
	}
}
