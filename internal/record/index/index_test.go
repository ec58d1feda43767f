package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

var form = Form{Name: "test", Boot: "this one"}

// write makes an index, and returns its path.
func write(t *testing.T, entries []Entry) string {
	t.Helper()
	dir := t.TempDir()
	w, err := Begin(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "index", "host")
	if err := w.Finish(path, entries, form); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	future := time.Now().Add(time.Hour).UnixNano()
	kept := []Entry{{ID: "C", Changed: 3, Text: "text"}, {ID: "B", Changed: -2}, {ID: "A", Changed: 1, Text: "\x00"}}
	path := write(t, slices.Concat(kept[:1], []Entry{{}, {ID: "now", Changed: future}, {ID: "untimed"}}, kept[1:]))
	if got := Read(path, form); !slices.Equal(got, kept) {
		t.Errorf("%v", got)
	}
	for _, other := range []Form{{Name: "test", Boot: "another"}, {Name: "other", Boot: form.Boot}, {}} {
		if got := Read(path, other); got != nil {
			t.Errorf("as %+v: %v", other, got)
		}
	}
	for _, name := range []string{"", "missing"} {
		if got := Read(filepath.Join(filepath.Dir(path), name), form); got != nil {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestMatch(t *testing.T) {
	entries := []Entry{{ID: "E"}, {ID: "D"}, {ID: "B"}, {ID: "A"}}
	got := Match(entries, []string{"F", "D", "C", "B", "0"})
	if want := []Entry{{}, {ID: "D"}, {}, {ID: "B"}, {}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestWhatIsNotFinishedIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	finish := func(path string) error {
		w, err := Begin(dir, Racy)
		if err != nil {
			t.Fatal(err)
		}
		return w.Finish(path, nil, form)
	}
	if err := finish(filepath.Join(file, "host")); err == nil {
		t.Error("there is a file in the place of its directory, and nobody says so")
	}
	restore := fsx.InjectFaults(func(op, _ string) error {
		if op == "rename" {
			return errors.New("no space left")
		}
		return nil
	})
	err := finish(filepath.Join(dir, "host"))
	restore()
	if err == nil {
		t.Error("it could not be put in place, and nobody says so")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func FuzzDecode(f *testing.F) {
	head := len(format) + crc32.Size
	f.Add(encode([]Entry{{ID: "B", Changed: 2, Text: "t"}, {ID: "A", Changed: 1}}, form)[head:])
	f.Fuzz(func(t *testing.T, body []byte) {
		raw := slices.Concat([]byte(format), binary.LittleEndian.AppendUint32(nil, crc32.Checksum(body, castagnoli)), body)
		entries := decode(bytes.NewReader(raw), int64(len(raw)), form)
		if entries == nil {
			return
		}
		again := encode(entries, form)
		if got := decode(bytes.NewReader(again), int64(len(again)), form); !slices.Equal(got, entries) {
			t.Errorf("%v came back as %v", entries, got)
		}
	})
}
