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

func TestStopTimeout(t *testing.T) {
	w, err := Open(t.TempDir()).Create(Run{Argv: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := w.StopTimeout(); ok {
		t.Errorf("%v, which nobody has set", d)
	}
	for _, want := range []time.Duration{0, 1500 * time.Millisecond, time.Hour} {
		if err := (View{Dir: w.Dir()}).SetStopTimeout(want); err != nil {
			t.Fatal(err)
		}
		if d, ok := w.StopTimeout(); !ok || d != want {
			t.Errorf("%v, %v, want %v", d, ok, want)
		}
	}
	file := filepath.Join(w.Dir(), stopName)
	for _, text := range []string{"", "-3s", "soon", "5"} {
		if err := fsx.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, ok := w.StopTimeout(); ok {
			t.Errorf("%q: %v", text, d)
		}
	}
	code := 0
	if err := w.Finish(Result{ExitCode: &code, Cause: Exited, Message: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it is left")
	}
}

// TestNothingIsMadeInARecord: what is put beside the record of a running job is made elsewhere, and comes by a rename: a command that is
// killed in between leaves nothing there, where nobody would remove it.
func TestNothingIsMadeInARecord(t *testing.T) {
	w := create(t, Open(t.TempDir()), Run{Supervisor: self(t)})
	var made []string
	restore := fsx.InjectFaults(func(op, path string) error {
		if op == "create" {
			made = append(made, filepath.Dir(path))
		}
		return nil
	})
	defer restore()
	if err := errors.Join((View{Dir: w.Dir()}).SetStopTimeout(time.Second), w.SetPaused(true), w.SetRestarting(&Attempt{})); err != nil {
		t.Fatal(err)
	}
	if len(made) != 3 || slices.Contains(made, w.Dir()) {
		t.Errorf("files were made in %q", made)
	}
}

func TestRestarting(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{Supervisor: self(t)})
	get := func() View {
		t.Helper()
		v, err := runs.Get(w.ID())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if err := w.SetRestarting(&Attempt{ExitCode: 3, Cause: Exited, Finished: time.Now(), Message: "a secret"}); err != nil {
		t.Fatal(err)
	}
	v := get()
	if v.State != Running || v.Standing() != "restarting" || v.Restarting.ExitCode != 3 || v.Restarting.Message != "" {
		t.Errorf("%+v, %+v", v.State, v.Restarting)
	}
	sameLists(t, runs, "it waits")
	for range 2 {
		if err := w.SetRestarting(nil); err != nil {
			t.Fatal(err)
		}
	}
	if v := get(); v.Standing() != "running" {
		t.Errorf("it goes on: %s", v.Standing())
	}
	writeFile(t, filepath.Join(w.Dir(), restartingName), "{")
	if v := get(); v.Standing() != "running" {
		t.Errorf("damaged: %s", v.Standing())
	}
	if err := errors.Join(os.Remove(filepath.Join(w.Dir(), restartingName)), syscall.Mkfifo(filepath.Join(w.Dir(), restartingName), 0o600)); err != nil {
		t.Fatal(err)
	}
	if v := get(); v.Standing() != "running" { // and nobody waits for who writes to it
		t.Errorf("a pipe: %s", v.Standing())
	}
	if err := w.Finish(Result{ExitCode: new(3), Cause: Exited, Message: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.Dir(), restartingName)); err == nil {
		t.Error("it is left")
	}
}
