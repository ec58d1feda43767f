package record

import (
	"path/filepath"
	"slices"
	"testing"
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
