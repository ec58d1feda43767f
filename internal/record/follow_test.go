package record

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

func TestCopyLog(t *testing.T) {
	dir := t.TempDir()
	write := func(part int, text string) {
		t.Helper()
		if err := fsx.WriteFile(partPath(dir, part), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(lines int, want string) {
		t.Helper()
		var got bytes.Buffer
		if err := (View{Dir: dir}).CopyLog(t.Context(), &got, LogRange{Lines: lines}); err != nil || got.String() != want {
			t.Errorf("%d lines: %q, %v; want %q", lines, got.String(), err, want)
		}
	}
	check(-1, "")
	check(3, "")
	write(0, "one\ntwo\nthree")
	check(-1, "one\ntwo\nthree")
	check(0, "")
	check(1, "three")
	check(2, "two\nthree")
	check(9, "one\ntwo\nthree")
	write(0, "one\ntwo\n")
	check(1, "two\n")
	write(7, "a\nb\n")
	write(8, "c\nd\n")
	check(-1, "one\ntwo\na\nb\nc\nd\n")
	check(2, "c\nd\n")
	check(3, "b\nc\nd\n")
	check(5, "two\na\nb\nc\nd\n")
	long := strings.Repeat("x", 200<<10)
	write(8, "c\n"+long+"\nd\n")
	check(2, long+"\nd\n")
}

// TestFollowLog: whoever follows a log as it is written, joined in the end, has all of it once.
func TestFollowLog(t *testing.T) {
	runs := Open(t.TempDir())
	w, err := runs.Create(Run{Argv: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	small := bounds{head: 2000, tail: 40000, part: 1000}
	w.Log().keep = small
	var got bytes.Buffer
	var followed error
	var done sync.WaitGroup
	done.Go(func() {
		followed = (View{Dir: w.Dir()}).CopyLog(context.Background(), &got, LogRange{Lines: -1, Follow: true})
	})
	want := ""
	for i := range 300 {
		line := fmt.Sprintf("line %d of the output, which is long enough for some files to be filled\n", i)
		want += line
		if _, err := w.Log().Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	code := 0
	if err := w.Finish(Result{ExitCode: &code, Cause: Exited, Message: "x"}); err != nil {
		t.Fatal(err)
	}
	done.Wait()
	if followed != nil || got.String() != want {
		t.Errorf("%v: %d bytes of %d", followed, got.Len(), len(want))
	}
	var again bytes.Buffer
	if err := (View{Dir: w.Dir()}).CopyLog(t.Context(), &again, LogRange{Lines: 2, Follow: true}); err != nil || again.String() != want[strings.Index(want, "line 298"):] {
		t.Errorf("%q, %v", again.String(), err)
	}
}

// TestFollowingIsWokenByNothing: who follows a log sleeps until there is more of it, or the run is over.
func TestFollowingIsWokenByNothing(t *testing.T) {
	runs := Open(t.TempDir())
	w, err := runs.Create(Run{Argv: []string{"x"}, Supervisor: self(t)})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := fsx.NewWatch(w.Dir())
	if err != nil {
		t.Skip(err)
	}
	if err := watch.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := runs.Get(w.ID())
	if err != nil {
		t.Fatal(err)
	}
	c := v.changes(t.Context())
	defer c.end()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		c.await(t.Context(), time.Time{})
	}()
	select {
	case <-looked:
		t.Fatal("nothing has changed, and somebody looks")
	case <-time.After(3 * followPause):
	}
	if _, err := w.Log().Write([]byte("line\n")); err != nil {
		t.Fatal(err)
	}
	<-looked
	code := 0
	if err := w.Finish(Result{ExitCode: &code, Cause: Exited, Message: "x"}); err != nil {
		t.Fatal(err)
	}
	c.await(t.Context(), time.Time{})
}

// TestFollowLogOfTheKilled: the end of a supervisor that writes no result is the end of its log.
func TestFollowLogOfTheKilled(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	owner, err := host.Child(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	w := create(t, Open(t.TempDir()), Run{Argv: []string{"x"}, Supervisor: owner})
	if _, err := w.Log().Write([]byte("line\n")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	followed := make(chan error)
	go func() {
		followed <- (View{Run: w.Run(), Dir: w.Dir()}).CopyLog(t.Context(), &got, LogRange{Lines: -1, Follow: true})
	}()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := <-followed; err != nil || got.String() != "line\n" {
		t.Errorf("%v: %q", err, got.String())
	}
}
