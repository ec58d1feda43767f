package record

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

func TestCreateIsPrivate(t *testing.T) {
	w := create(t, Open(t.TempDir()), Run{})
	for _, path := range []string{filepath.Dir(w.Dir()), w.Dir(), w.Dir() + "/run.json", w.Dir() + "/events.jsonl", w.Dir() + "/output.log"} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

func TestCreateWhereItCannot(t *testing.T) {
	data := t.TempDir()
	writeFile(t, filepath.Join(data, "runs"), "in the way")
	if _, err := Open(data).Create(Run{}); err == nil || !strings.HasPrefix(err.Error(), "making a run record: ") {
		t.Errorf("got %v", err)
	}
}

func TestEventsAreLines(t *testing.T) {
	w := create(t, Open(t.TempDir()), Run{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := w.Event("tick", map[string]any{"n": i, "kind": "forged", "text": "a\nb"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSpace(readFile(t, w.Dir()+"/events.jsonl")), "\n")
	if len(lines) != 20 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		var e struct {
			Kind string
			Time time.Time
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Kind != "tick" || e.Time.IsZero() {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// A process killed at any step of making a record leaves no directory among the runs but a whole record; the rest is under
// tmp, by a name that says whose it is.
func TestCreateIsAllOrNothing(t *testing.T) {
	data := t.TempDir()
	steps := 0
	restore := fsx.InjectFaults(func(op, path string) error {
		steps++
		if names, err := os.ReadDir(filepath.Join(data, "runs")); err != nil || len(names) != 0 {
			t.Errorf("before %s %s: %v, %v", op, path, names, err)
		}
		rest, err := filepath.Rel(filepath.Join(data, "tmp"), path)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(rest, "/")
		if owner, ok := fsx.TempOwner(name); path != filepath.Join(data, "runs", "01K00000000000000000000001") && (!ok || owner != self(t)) {
			t.Errorf("%s %s: a leftover nobody sweeps", op, path)
		}
		return nil
	})
	w := create(t, Open(data), Run{ID: "01K00000000000000000000001"})
	restore()
	if steps < 5 || len(fileNames(t, w.Dir())) != 4 || len(fileNames(t, filepath.Join(data, "tmp"))) != 0 {
		t.Errorf("%d steps", steps)
	}
	if _, err := Open(data).Create(Run{ID: w.ID()}); err == nil {
		t.Error("a second record of the same id")
	}
}

// Parts of the log are made, and joined, where the record is, not where it was made.
func TestRecordIsWrittenWhereItIs(t *testing.T) {
	data := t.TempDir()
	w := create(t, Open(data), Run{})
	w.log.keep = small
	if err := w.Event("started", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Log().Write(pattern(1003)); err != nil {
		t.Fatal(err)
	}
	if names := fileNames(t, w.Dir()); len(names) < 5 {
		t.Errorf("no parts of the log: %v", names)
	}
	if err := w.Finish(Result{Cause: Exited}); err != nil {
		t.Fatal(err)
	}
	if names := logNames(t, w.Dir()); len(names) != 4 || len(fileNames(t, filepath.Join(data, "tmp"))) != 0 {
		t.Errorf("files: %v", names)
	}
	checkJoined(t, w.Dir(), pattern(1003))
}

// Each step of making a record fails once: there is then no record and nothing of one. Its room alone it can do without.
func TestCreateLeavesNothingBehind(t *testing.T) {
	fault := errors.New("no space left on device")
	for step := range 20 {
		data := t.TempDir()
		n := 0
		restore := fsx.InjectFaults(func(_, path string) error {
			if filepath.Base(path) == roomName {
				return nil
			}
			if n++; n == step+1 && strings.HasPrefix(path, data) {
				return fault
			}
			return nil
		})
		_, err := Open(data).Create(Run{})
		restore()
		if n <= step {
			return // every step has failed once
		}
		if !errors.Is(err, fault) {
			t.Errorf("step %d: %v", step, err)
		}
		for _, dir := range []string{"runs", "tmp"} {
			if left := fileNames(t, filepath.Join(data, dir)); len(left) != 0 {
				t.Errorf("step %d leaves %v in %s", step, left, dir)
			}
		}
	}
	t.Error("more steps than expected")
}

// A disk that fills up at the end costs parts of the record, never the counts of what is lost, and the error is told.
func TestFinishReportsFaults(t *testing.T) {
	w := create(t, Open(t.TempDir()), Run{Supervisor: self(t)})
	fault := errors.New("no space left on device")
	restore := fsx.InjectFaults(func(_, path string) error { return fault })
	err := w.Finish(Result{Cause: Exited})
	restore()
	if !errors.Is(err, fault) || !strings.HasPrefix(err.Error(), "recording the result: ") {
		t.Errorf("got %v", err)
	}
	if got := fileNames(t, w.Dir()); len(got) != 3 {
		t.Errorf("files: %v", got)
	}
}
