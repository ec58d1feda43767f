package training

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// jobsDir is a directory of a job's, and a reader of it.
func jobsDir(t *testing.T) (path string, f *File, h *heard, poll func()) {
	t.Helper()
	dir := t.TempDir()
	f, err := OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	h = &heard{}
	return filepath.Join(dir, FileName), f, h, func() {
		t.Helper()
		for {
			more, err := f.Poll(h.take, h.drop)
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				return
			}
		}
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	path, f, h, poll := jobsDir(t)
	poll() // not there yet
	add(t, path, "{\"step\":1,\"a\":1}\n{\"a\":")
	poll()
	add(t, path, "2}\nbad\n\n{\"a\":3}\n")
	poll()
	try(t, os.Truncate(path, 0)) // as a program does that begins anew
	poll()
	add(t, path, "{\"a\":4}\n")
	poll()
	add(t, path, "{\"a\":5}\n")
	try(t, os.Rename(path, path+".old")) // what was added before is still read
	add(t, path, "{\"a\":6}\n{\"a\":7}")
	poll()
	unread, err := f.Close()
	try(t, err)
	want := []string{"@1 a=1", "a=2", "a=3", "a=4", "a=5", "a=6", "a=7"}
	if !slices.Equal(h.points, want) || h.dropped[BadLine] != 1 || unread != 0 {
		t.Errorf("%q, %v, %d bytes not read", h.points, h.dropped, unread)
	}
}

func TestHostileFiles(t *testing.T) {
	for name, put := range map[string]func(t *testing.T, path string){
		"a link to a file": func(t *testing.T, path string) {
			t.Helper()
			secret := filepath.Join(t.TempDir(), "secret")
			try(t, os.WriteFile(secret, []byte(`{"secret":1}`+"\n"), 0o600))
			try(t, os.Symlink(secret, path))
		},
		"a link to nothing":   func(t *testing.T, path string) { t.Helper(); try(t, os.Symlink("nowhere", path)) },
		"a link to /dev/zero": func(t *testing.T, path string) { t.Helper(); try(t, os.Symlink("/dev/zero", path)) },
		"a pipe":              func(t *testing.T, path string) { t.Helper(); try(t, unix.Mkfifo(path, 0o600)) },
		"a socket": func(t *testing.T, path string) {
			t.Helper()
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			try(t, err)
			t.Chdir(filepath.Dir(path))
			try(t, unix.Bind(fd, &unix.SockaddrUnix{Name: FileName}))
			try(t, unix.Close(fd))
		},
		"a directory": func(t *testing.T, path string) { t.Helper(); try(t, os.Mkdir(path, 0o700)) },
		"two names": func(t *testing.T, path string) {
			t.Helper()
			add(t, path, `{"secret":1}`+"\n")
			try(t, os.Link(path, path+".2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, f, h, poll := jobsDir(t)
			put(t, path)
			poll()
			poll()
			if len(h.points) != 0 || h.dropped[BadFile] != 1 {
				t.Errorf("%q, %v", h.points, h.dropped)
			}
			try(t, os.RemoveAll(path)) // and it may yet become one
			try(t, os.RemoveAll(path+".2"))
			add(t, path, "{\"a\":1}\n")
			poll()
			if !slices.Equal(h.points, []string{"a=1"}) {
				t.Errorf("then %q", h.points)
			}
			_, err := f.Close()
			try(t, err)
		})
	}
}

func TestEndlessFileIsReadInPart(t *testing.T) {
	path, _, _, _ := jobsDir(t)
	const size = 1 << 43
	add(t, path, "{\"a\":1}\n")
	try(t, os.Truncate(path, size))
	c := NewCollector(func([]byte) error { return nil }, strings.Clone)
	f, err := OpenFile(filepath.Dir(path))
	try(t, err)
	c.sources = []Source{f}
	s, err := c.Finish()
	try(t, err)
	if s.Metrics["a"].Count != 1 || s.Dropped[string(LongLine)] != 1 || s.Dropped[string(UnreadSize)] < size-2*lastBytes {
		t.Errorf("%+v", s)
	}
}

func TestCollectorIsBounded(t *testing.T) {
	var lines strings.Builder
	full := false
	c := NewCollector(func(p []byte) error {
		if full {
			return fmt.Errorf("no space")
		}
		lines.Write(p)
		return nil
	}, func(name string) string { return strings.ReplaceAll(name, "hunter2", "[redacted]") })
	for i := range 1_000_000 {
		c.Take("file", Point{Values: []Value{{fmt.Sprint("m", i), 1}}})
	}
	c.Take("file", Point{Values: []Value{{"m1", 2}, {"m1", 3}, {"a\x1b[31m", 1}, {"\xff", 1}, {strings.Repeat("x", 300), 1}, {"", 1}, {"\u202eabc", 1}}})
	c.Flush()
	full = true
	c.Take("file", Point{Values: []Value{{"m1", 4}}})
	s, err := c.Finish()
	try(t, err)
	c.Take("file", Point{Values: []Value{{"m1", 5}}}) // too late
	c.Drop(BadLine, 1)
	if len(s.Metrics) != maxNames || s.Dropped[string(ManyNames)] != 1_000_000-maxNames || s.Dropped[string(BadName)] != 5 || s.Dropped[string(Full)] != 1 || s.Dropped[string(BadLine)] != 0 {
		t.Errorf("%d metrics, %v", len(s.Metrics), s.Dropped)
	}
	if m := s.Metrics["m1"]; m.Last != 4 || m.Count != 4 || *m.Max != 4 || *m.Min != 1 {
		t.Errorf("%+v", m)
	}
	if n := strings.Count(lines.String(), "\n"); n != maxNames+1 || !strings.HasSuffix(lines.String(), `"values":{"m1":3}}`+"\n") {
		t.Errorf("%d lines", n)
	}
	c = NewCollector(func([]byte) error { return nil }, func(name string) string { return strings.ReplaceAll(name, "hunter2", "[redacted]") })
	c.Take("file", Point{Values: []Value{{"a-hunter2", 1}}})
	if s, _ := c.Finish(); s.Metrics["a-[redacted]"].Count != 1 {
		t.Errorf("%+v", s)
	}
}
