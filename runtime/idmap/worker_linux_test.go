package idmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

// told is what a worker reads: an order and what belongs to it.
func told(t *testing.T, messages ...any) *json.Decoder {
	t.Helper()
	var text bytes.Buffer
	for _, m := range messages {
		if err := json.NewEncoder(&text).Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	return json.NewDecoder(&text)
}

// tree is a directory with a file, a link out of it and a file outside.
func tree(t *testing.T) (root, outside string) {
	t.Helper()
	base := t.TempDir()
	root, outside = filepath.Join(base, "root"), filepath.Join(base, "outside")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "a", "b"), 0o755), os.WriteFile(outside, nil, 0o600), os.WriteFile(filepath.Join(root, "a", "b", "f"), nil, 0o644),
		os.Symlink("../outside", filepath.Join(root, "out")), os.Symlink("..", filepath.Join(root, "up")), unix.Mkfifo(filepath.Join(root, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return root, outside
}

// TestOwn gives entries to the caller, which needs no privilege; test/subuid gives them to others.
func TestOwn(t *testing.T) {
	root, outside := tree(t)
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	entry := func(path string, mode uint32) Entry { return Entry{Path: []byte(path), UID: uid, GID: gid, Mode: mode} }
	err := obey(told(t, order{Own: root}, entry("a/b/f", 0o640), entry("a", 0o3775), entry("out", 0o777), entry("pipe", 0o620)))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]uint32{root + "/a/b/f": 0o640, root + "/a": 0o3775, root + "/pipe": 0o620, outside: 0o600} {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Mode&0o7777 != want {
			t.Errorf("%s: %o, %v, want %o", path, st.Mode&0o7777, err, want)
		}
	}
	for _, path := range []string{"up/outside", "../outside", outside, "none", "a/b/f/g", ""} {
		if err := obey(told(t, order{Own: root}, entry(path, 0o666))); err == nil {
			t.Errorf("%q was changed", path)
		}
	}
}

func TestRemoveTakesAllThatItCan(t *testing.T) {
	first, outside := tree(t)
	second, _ := tree(t)
	if err := obey(told(t, order{Remove: []string{first, first + "/gone", second}})); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{first, second} {
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := os.Lstat(outside); err != nil {
		t.Error(err)
	}
}

func TestOrdersThatAreNone(t *testing.T) {
	for _, text := range []string{"", "{", `{"own":"/none"}`, `{"remove":7}`} {
		if err := obey(json.NewDecoder(strings.NewReader(text))); err == nil {
			t.Errorf("%q was obeyed", text)
		}
	}
}

// pipe is an input that takes what it is told and keeps nothing.
type pipe struct{ err error }

func (p pipe) Write(b []byte) (int, error) { return len(b), p.err }
func (p pipe) Close() error                { return nil }

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		answer string
		told   error
		want   error
		says   string
	}{
		{`{}`, nil, nil, ""},
		{`{"failed":"removing x: no","errno":13}`, nil, unix.EACCES, "removing x: no"},
		{`{"failed":"removing x: no"}`, nil, nil, "removing x: no"},
		{`{}`, errBeyond, errBeyond, "beyond"},
		{``, nil, nil, "hearing from"},
		{``, errBeyond, errBeyond, "hearing from"},
	} {
		err := exchange(pipe{}, strings.NewReader(c.answer), func(*json.Encoder) error { return c.told })
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%q, %v: %v", c.answer, c.told, err)
		}
	}
	err := exchange(pipe{unix.EPIPE}, strings.NewReader(`{"failed":"no room","errno":28}`), func(to *json.Encoder) error { return to.Encode(order{}) })
	if !errors.Is(err, unix.ENOSPC) || err.Error() != "no room" {
		t.Errorf("a worker that stopped listening has said why: %v", err)
	}
}

var errBeyond = fmt.Errorf("beyond: %w", unix.ERANGE)

// TestPassNeedsAWord: without one from whoever wrote the maps, nothing is executed.
func TestPassNeedsAWord(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{GateArg}, {GateArg, "3"}, {GateArg, "x", "y"}, {GateArg, "-1", "y"}, {GateArg, fmt.Sprint(r.Fd()), "y"}} {
		if Pass(args) == 0 {
			t.Errorf("%q passed", args)
		}
	}
}

// TestOwnStopsAtTheFirstFault: what cannot be given away is an error that says so, and nothing after it is touched.
func TestOwnStopsAtTheFirstFault(t *testing.T) {
	for _, step := range []string{"chown", "chmod"} {
		t.Run(step, func(t *testing.T) {
			root, _ := tree(t)
			var steps []string
			defer fsx.InjectFaults(func(op, path string) error {
				steps = append(steps, op+" "+path)
				if op == step {
					return unix.EIO
				}
				return nil
			})()
			uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
			err := obey(told(t, order{Own: root}, Entry{Path: []byte("a/b/f"), UID: uid, GID: gid, Mode: 0o600}, Entry{Path: []byte("a"), UID: uid, GID: gid, Mode: 0o700}))
			if !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), "a/b/f") {
				t.Errorf("error %v", err)
			}
			if last := steps[len(steps)-1]; last != step+" f" {
				t.Errorf("steps %q", steps)
			}
		})
	}
}
