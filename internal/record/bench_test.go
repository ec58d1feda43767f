package record

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// What a record costs a run: Create is on the way to the job's start, Finish at its end.
func BenchmarkCreate(b *testing.B) {
	runs := Open(b.TempDir())
	for b.Loop() {
		w, err := runs.Create(Run{Argv: []string{"true"}})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := w.close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkFinish(b *testing.B) {
	runs := Open(b.TempDir())
	for b.Loop() {
		b.StopTimer()
		w, err := runs.Create(Run{Argv: []string{"true"}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(w.Log(), "some output\n"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := w.Finish(Result{Cause: Exited}); err != nil {
			b.Fatal(err)
		}
	}
}

// Output costs a write(2) a chunk, and a search when there are secrets.
func BenchmarkLog(b *testing.B) {
	chunk := make([]byte, 32<<10)
	for name, secrets := range map[string][][]byte{"plain": nil, "secrets": {[]byte("first-secret"), []byte("another-secret")}} {
		b.Run(name, func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "runs", "log")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				b.Fatal(err)
			}
			l, err := newLog(dir, kept, &scrubber{secrets: secrets})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(chunk)))
			for b.Loop() {
				if _, err := l.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkAll(b *testing.B) {
	runs := Open(b.TempDir())
	for range 1000 {
		w, err := runs.Create(Run{Argv: []string{"true"}})
		if err != nil {
			b.Fatal(err)
		}
		if err := w.close(); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if list, err := runs.List(0); err != nil || len(list) != 1000 {
			b.Fatal(len(list), err)
		}
	}
}
