package record

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// A note of which the full disk took only a part is none, and makes none of the next.
func TestANoteThatDoesNotFit(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{})
	if err := w.Finish(Result{Cause: Exited}); err != nil {
		t.Fatal(err)
	}
	if err := runs.Note(w.ID(), "one"); err != nil {
		t.Fatal(err)
	}
	limited(t, uint64(len(readFile(t, filepath.Join(w.Dir(), notesFile))))+10, func() {
		if err := runs.Note(w.ID(), "two"); err == nil {
			t.Error("it is said to be there")
		}
	})
	for _, text := range []string{"three", "four"} {
		if err := runs.Note(w.ID(), text); err != nil {
			t.Error(err)
		}
	}
	var got []string
	for _, note := range readNotes(w.Dir()) {
		got = append(got, note.Text)
	}
	if want := []string{"one", "three", "four"}; !slices.Equal(got, want) {
		t.Errorf("the notes are %q, not %q", got, want)
	}
}

// A job that has the store among its volumes may leave a pipe in the place of the notes, and hold its other end: nobody reads there.
func TestNotesThatAreAPipe(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{})
	path := filepath.Join(w.Dir(), notesFile)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(time.Minute, func() { // who reads goes on then
		t.Error("the notes are waited for")
		_ = held.Close()
	})
	if err := runs.Note(w.ID(), "one"); !errors.Is(err, fsx.ErrNotRegular) {
		t.Errorf("it is noted: %v", err)
	}
	if v, err := runs.Get(w.ID()); err != nil || len(v.Notes) != 0 {
		t.Errorf("%v, %+v", err, v.Notes)
	}
	if over.Stop() {
		_ = held.Close()
	}
}
