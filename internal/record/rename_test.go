package record

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRename(t *testing.T) {
	runs := Open(t.TempDir())
	running := create(t, runs, Run{Name: "before", Supervisor: self(t), Argv: []string{"train"}})
	over := ended(t, runs, Run{Supervisor: self(t)}, 0)
	for name, id := range map[string]string{"during": running.ID(), "after": over.ID()} {
		for range 2 {
			if err := runs.Rename(id, name); err != nil {
				t.Fatal(err)
			}
		}
		if v, err := runs.Get(name); err != nil || v.ID != id {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	if _, err := runs.Get("before"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the name that it had: %v", err)
	}
	if err := runs.Rename(NewID(over.run.Created), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a run that is not there: %v", err)
	}
	if temps, err := os.ReadDir(filepath.Join(filepath.Dir(runs.dir), "tmp")); err != nil || len(temps) > 0 {
		t.Errorf("left: %v, %v", temps, err)
	}
}

// A run that was renamed is found by its new name at once, though a list has kept the one before.
func TestRenameOfAnIndexedRun(t *testing.T) {
	runs := many(t, 40)
	indexAll(t, runs, 40)
	v, err := runs.Get("run-7")
	if err != nil {
		t.Fatal(err)
	}
	if err := runs.Rename(v.ID, "seven"); err != nil {
		t.Fatal(err)
	}
	if got, err := runs.Get("seven"); err != nil || got.ID != v.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := runs.Get("run-7"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the name that it had: %v", err)
	}
	sameLists(t, runs, "renamed")
}

func TestWithName(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{`{"schema": 1, "id": "X", "later": {"name": "inner"}}`, "{\"schema\": 1, \"id\": \"X\",\n  \"name\": \"n\", \"later\": {\"name\": \"inner\"}}"},
		{`{"id":"X","name":"old","argv":["name"]}`, `{"id":"X","name":"n","argv":["name"]}`},
		{`{"name" : "" , "id":"X"}`, `{"name" : "n" , "id":"X"}`},
		{`{"id": null}`, "{\"id\": null,\n  \"name\": \"n\"}"},
		{`{"schema":1}`, ""}, {`{"id":`, ""}, {`{"id" "X"}`, ""}, {``, ""}, {`nothing`, ""},
	} {
		got, err := withName([]byte(c.before), "n")
		if string(got) != c.after || (err == nil) != (c.after != "") || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s became %s, %v", c.before, got, err)
		}
	}
	got, err := withName([]byte(`{"id":"X"}`), strings.Repeat(`"`, 2))
	if err != nil || !strings.Contains(string(got), `"name": "\"\""`) {
		t.Errorf("%s, %v", got, err)
	}
}
