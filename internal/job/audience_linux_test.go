package job

import (
	"bytes"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/terminal"
)

// stuck is one who has attached and does not read yet.
func stuck(t *testing.T) (l *attached, read *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	return newAttached(write, nil), read
}

// TestAttachedInSmallPieces: what is printed byte by byte takes no more room, until it is read, than it has bytes.
func TestAttachedInSmallPieces(t *testing.T) {
	var a audience
	l, read := stuck(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if !a.add(l) {
		t.Fatal("it is over")
	}
	for i := range backlog / 2 {
		a.hear(outStream, []byte{byte(i)})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if more := int64(after.HeapAlloc) - int64(before.HeapAlloc); more > 3*backlog {
		t.Errorf("%d bytes of output take %d", backlog/2, more)
	}
	got := make(chan []byte)
	go func() {
		var all bytes.Buffer
		_, _ = all.ReadFrom(read)
		got <- all.Bytes()
	}()
	a.end()
	text := <-got
	for i, c := range text {
		if c != byte(i) {
			t.Fatalf("byte %d is %d", i, c)
		}
	}
	if len(text) != backlog/2 {
		t.Errorf("%d bytes of %d", len(text), backlog/2)
	}
}

// TestTypistLeaves: a job that does not read keeps nobody who has typed.
func TestTypistLeaves(t *testing.T) {
	w, r, err := terminal.Pipe(terminal.WriteEnd)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var j joint
	j.set(w, nil)
	for range 3 {
		gone, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := (typist{&j, gone}).Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		close(gone)
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("he is still there")
		}
	}
}
