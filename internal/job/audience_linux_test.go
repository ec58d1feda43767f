package job

import (
	"bytes"
	"io"
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
	if _, ok := a.add(l, 0); !ok {
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

// hears attaches somebody who reads, and returns all that they hear in the end.
func hears(t *testing.T, a *audience, heard int) (start int, all <-chan string) {
	t.Helper()
	l, read := stuck(t)
	start, ok := a.add(l, heard)
	if !ok {
		return start, nil
	}
	got := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(read)
		got <- string(text)
	}()
	t.Cleanup(func() { a.remove(l) })
	return start, got
}

// TestHeardAgain: who has heard a job that is started again misses nothing of the next start, and hears nothing twice.
func TestHeardAgain(t *testing.T) {
	var a audience
	_, one := hears(t, &a, 0)
	_, two := hears(t, &a, 0)
	a.hear(outStream, []byte("first"))
	a.end()
	if one, two := <-one, <-two; one != "first" || two != "first" {
		t.Fatalf("%q, %q", one, two)
	}
	if start, again := hears(t, &a, 1); again != nil || start != 1 {
		t.Error("a start that is over is heard a second time")
	}
	a.begin()
	if !a.awaits() {
		t.Error("nobody is awaited")
	}
	a.hear(outStream, []byte("second, "))
	start, one := hears(t, &a, 1)
	_, fresh := hears(t, &a, 0)
	a.hear(errStream, []byte("more"))
	a.end()
	_, two = hears(t, &a, 1)
	if one, two, fresh := <-one, <-two, <-fresh; start != 2 || one != "second, more" || two != one || fresh != "more" {
		t.Errorf("start %d: %q, %q, %q", start, one, two, fresh)
	}
	if _, again := hears(t, &a, 1); a.awaits() || again != nil {
		t.Error("more are awaited than have heard the start before")
	}
	a.begin() // for three, of whom nobody comes
	a.hear(outStream, []byte("third"))
	a.gather(time.Millisecond)
	if a.awaits() || a.kept.bytes > 0 {
		t.Error("those who have left are waited for")
	}
	if _, late := hears(t, &a, 2); late == nil {
		t.Error("who comes late hears nothing")
	}
	a.end()
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
