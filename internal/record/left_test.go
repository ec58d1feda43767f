package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

// unwritable is the record of a dead supervisor that could not write how its run ended.
func unwritable(t *testing.T, runs *Runs, result Result) *Writer {
	t.Helper()
	w, err := runs.Create(Run{Supervisor: dead(t)}, "hunter22")
	if err != nil {
		t.Fatal(err)
	}
	restore := fsx.InjectFaults(func(op, path string) error {
		if op == "rename" {
			return &os.PathError{Op: op, Path: path, Err: unix.EIO}
		}
		return nil
	})
	defer restore()
	if _, err := w.Log().Write([]byte("last words\n")); err != nil {
		t.Fatal(err)
	}
	err = w.Finish(result)
	if err == nil || !strings.Contains(err.Error(), "result.json: ") || !strings.Contains(err.Error(), "input/output error") || !strings.Contains(err.Error(), "events.jsonl has it") {
		t.Errorf("it says %v", err)
	}
	return w
}

// A result that could not be written is not lost: who reads the record next finds it among the events, and writes it.
func TestResultThatCouldNotBeWritten(t *testing.T) {
	code := 7
	runs := Open(t.TempDir())
	w := unwritable(t, runs, Result{Cause: Exited, ExitCode: &code, Message: "It said hunter22.", Started: time.Now()})
	if strings.Contains(readFile(t, filepath.Join(w.Dir(), eventsFile)), "hunter22") {
		t.Error("a secret is among the events")
	}
	restore := fsx.InjectFaults(func(_, _ string) error { return unix.EROFS })
	check := func(when string) {
		t.Helper()
		v, err := runs.Get(w.ID())
		if err != nil || v.State != Ended || v.Cause != Exited || v.ExitCode == nil || *v.ExitCode != 7 || v.Message != "It said [redacted]." || v.Log.Kept != 11 {
			t.Errorf("%s: %v, %+v", when, err, v)
		}
	}
	check("where nothing can be written")
	restore()
	check("by the reader that writes it")
	if result, err := readResult(w.Dir()); err != nil || result == nil || result.Cause != Exited || *result.ExitCode != 7 {
		t.Errorf("%+v, %v", result, err)
	}
	check("written")
}

// What stands in the place of a result, and is none, does not end a run.
func TestNoResultAmongTheEvents(t *testing.T) {
	for name, line := range map[string]string{
		"another schema": `{"kind":"result","result":{"schema":99,"cause":"exited"}}`, "null": `{"kind":"result","result":null}`, "none": `{"kind":"result"}`,
		"no object": `{"kind":"result","result":"x"}`, "torn": `{"kind":"result","result":{"schema":1`, "another kind": `{"kind":"notice","result":{"schema":1}}`,
	} {
		runs := Open(t.TempDir())
		w := create(t, runs, Run{Supervisor: dead(t)})
		writeFile(t, filepath.Join(w.Dir(), eventsFile), line+"\n")
		if v, err := runs.Get(w.ID()); err != nil || v.State != Gone {
			t.Errorf("%s: %v, %v", name, v.State, err)
		}
	}
}

// A record does not make the data directory again that has been taken away, or unmounted, meanwhile.
func TestDataDirectoryTakenAway(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	w := create(t, Open(data), Run{Supervisor: dead(t)})
	if err := os.Rename(data, data+".away"); err != nil {
		t.Fatal(err)
	}
	code := 3
	if err := w.Finish(Result{Cause: Exited, ExitCode: &code}); err == nil || !strings.Contains(err.Error(), data) {
		t.Errorf("it says %v", err)
	}
	if _, err := os.Lstat(data); !os.IsNotExist(err) {
		t.Errorf("it is there again: %v", err)
	}
	if err := os.Rename(data+".away", data); err != nil {
		t.Fatal(err)
	}
	if v, err := Open(data).Get(w.ID()); err != nil || v.State != Ended || v.ExitCode == nil || *v.ExitCode != 3 {
		t.Errorf("%v, %+v", err, v)
	}
}
