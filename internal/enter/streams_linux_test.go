package enter

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/coracle-run/coracle/internal/terminal"
)

// file is one to write to, and to read what was written.
func file(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestOutput: all that was written before the end arrives, whether or not somebody else still holds the pipe.
func TestOutput(t *testing.T) {
	for name, held := range map[string]bool{"closed": false, "somebody is left behind": true} {
		to := file(t)
		r, w, err := terminal.Pipe(terminal.ReadEnd)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		o := copyOutput(terminal.Borrow(nil), to, r)
		want := bytes.Repeat([]byte("0123456789\n"), 100_000) // more than a pipe holds
		if _, err := w.Write(want); err != nil {
			t.Fatal(err)
		}
		if !held {
			_ = w.Close()
		}
		if err := o.finish(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(to.Name()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d arrived: %v", name, len(got), len(want), err)
		}
	}
}

// TestOutputIsLost: who cannot be written to any more is told of, and the command goes on meanwhile.
func TestOutputIsLost(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	r, w, err := terminal.Pipe(terminal.ReadEnd)
	if err != nil {
		t.Fatal(err)
	}
	o := copyOutput(terminal.Borrow(nil), full, r)
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Errorf("the command could not write: %v", err)
	}
	_ = w.Close()
	if err := o.finish(); err == nil {
		t.Error("nobody is told")
	}
}
