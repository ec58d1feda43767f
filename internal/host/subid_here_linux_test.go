package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSubordinateIDsThatAreNotHere: a file grants ids that the namespace around this process does not have, or whose tools gain nothing.
func TestSubordinateIDsThatAreNotHere(t *testing.T) {
	const (
		whole  = "         0          0 4294967295\n"
		quiet  = "Name:\tx\nNoNewPrivs:\t0\nSeccomp:\t0\n"
		locked = "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t0\n"
	)
	m := IDMap{UIDs: []IDRange{{0, 1002, 1}, {1, 100000, 65536}}, GIDs: []IDRange{{0, 7, 1}, {1, 200000, 10}}}
	for _, c := range []struct {
		name               string
		uids, gids, status string
		euid               int
		says               string // "": nothing is in the way
	}{
		{"the host", whole, whole, quiet, 1002, ""},
		{"a container with many ids", "0 1000 1\n1 100000 400000\n", "0 1000 1\n1 100000 400000\n", quiet, 1002, ""},
		{"ranges that follow one another", "0 0 2000\n130000 5 50000\n100000 70000 30000\n", whole, quiet, 1002, ""},
		{"a gap between ranges", "0 0 2000\n100000 70000 30000\n130001 5 50000\n", whole, quiet, 1002, "the user ids 100000-165535"},
		{"a container with few ids", "0 1000 1\n1 100000 65536\n", whole, quiet, 1002, "the user ids 100000-165535"},
		{"few groups", whole, "0 0 200009\n", quiet, 1002, "the group ids 200000-200009"},
		{"the caller alone", "1002 1002 1\n", "7 7 1\n", quiet, 1002, "the user ids 0"},
		{"no root", "1 1 400000\n", whole, quiet, 1002, "the user ids 0"},
		{"no new privileges", whole, whole, locked, 1002, "no_new_privs"},
		{"no new privileges, and none needed", whole, whole, locked, 0, ""},
		{"a map that nobody has written yet", "", "", quiet, 1002, "the user ids 0"},
		{"maps that are none", "a b c\n", "0 0\n", "", 1002, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			err := around{write("uid_map", c.uids), write("gid_map", c.gids), write("status", c.status)}.problem(m, c.euid)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := (*SubIDError)(nil); !errors.As(err, &e) || !strings.Contains(e.Error(), c.says) || !strings.Contains(e.Hint(), "run Coracle outside of ") {
				t.Errorf("%v does not say %q", err, c.says)
			}
		})
	}
	if err := (around{"/none", "/none", "/none"}).problem(m, 1002); err != nil {
		t.Errorf("without /proc: %v", err)
	}

	s := granted(t, "", "ann:100000:10\n", "")
	s.around.uids = filepath.Join(t.TempDir(), "uid_map")
	for text, want := range map[string]string{whole: "usermod --add-subuids 100000-165535 ann", "0 1000 65536\n": "run Coracle outside of "} {
		if err := os.WriteFile(s.around.uids, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.idMap("ann", 1002, 7)
		if e := (*SubIDError)(nil); !errors.As(err, &e) || !strings.Contains(e.Error(), "user ann has no subordinate ids") || !strings.Contains(e.Hint(), want) {
			t.Errorf("with %q: %v, want the hint %q", text, err, want)
		}
	}
}
