package record

import (
	"os"
	"path/filepath"
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
