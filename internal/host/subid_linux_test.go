package host

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// granted is a source with these files, and tools that are there.
func granted(t *testing.T, uids, gids, nsswitch string) subIDSource {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", "")
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("newuidmap", "", 0o755)
	write("newgidmap", "", 0o755)
	return subIDSource{
		uids: write("subuid", uids, 0o644), gids: write("subgid", gids, 0o644), nsswitch: write("nsswitch.conf", nsswitch, 0o644),
		tools: []string{dir},
	}
}

func TestMapsFromSubordinateIDs(t *testing.T) {
	own := func(id uint32) IDRange { return IDRange{0, id, 1} }
	for _, c := range []struct {
		name, uids, gids string
		want             IDMap
	}{
		{"by name", "other:1:2\nann:100000:65536\n", "ann:200000:1000",
			IDMap{[]IDRange{own(1002), {1, 100000, 65536}}, []IDRange{own(7), {1, 200000, 1000}}}},
		{"by number, groups too by the user's", "1002:100000:65536", "7:300000:10\n1002:200000:1000\n",
			IDMap{[]IDRange{own(1002), {1, 100000, 65536}}, []IDRange{own(7), {1, 200000, 1000}}}},
		{"several ranges, one after the other", "ann:500:10\nann:100000:65536\n1002:900:20\n", "ann:1:5",
			IDMap{[]IDRange{own(1002), {1, 500, 10}, {11, 100000, 65536}, {65547, 900, 20}}, []IDRange{own(7), {1, 1, 5}}}},
		{"what overlaps once", "ann:100000:65536\nann:100000:65536\nann:165535:2\nann:1000:10\n", "ann:5:5\nann:100:10\n",
			IDMap{[]IDRange{own(1002), {1, 100000, 65536}}, []IDRange{own(7), {1, 100, 10}}}},
		{"lines that are none", "# comment\n\nann:x:1\nann:1\nann:1:2:3\nann:0:100\nann:4294967290:10\nann:4294967296:1\nann:5:0\nann:-5:9\n  ann:100:10  \n", "ann:100:10\n",
			IDMap{[]IDRange{own(1002), {1, 100, 10}}, []IDRange{own(7), {1, 100, 10}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := granted(t, c.uids, c.gids, "").idMap("ann", 1002, 7)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v (%v), want %v", got, err, c.want)
			}
		})
	}
}

func TestWithoutSubordinateIDsTheAdministratorsLineIsTold(t *testing.T) {
	for _, c := range []struct {
		name, uids, gids, nsswitch string
		reason, fix                string
	}{
		{"none", "", "bob:100000:65536\n", "", "user ann has no subordinate ids in ", "usermod --add-subuids 100000-165535 --add-subgids 165536-231071 ann"},
		{"no groups", "ann:100000:65536\n", "bob:100000:65536\nnewbie:231072:65536\n", "", "/subgid", "usermod --add-subgids 296608-362143 ann"},
		{"no users", "anna:1:1\n", "ann:100000:65536\n", "", "/subuid", "usermod --add-subuids 100000-165535 ann"},
		{"only the caller", "ann:1002:1\n", "ann:100000:65536\n", "", "/subuid", "usermod --add-subuids 100000-165535 ann"},
		{"in the name service", "", "", "passwd: files\nsubid: sss # here\n", `has "subid: sss", which Coracle does not ask`, "usermod"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := granted(t, c.uids, c.gids, c.nsswitch).idMap("ann", 1002, 7)
			e := (*SubIDError)(nil)
			if !errors.As(err, &e) || !strings.Contains(e.Error(), c.reason) || !strings.Contains(e.Hint(), c.fix) {
				t.Errorf("%v, hint %q, want %q and %q", err, e.Hint(), c.reason, c.fix)
			}
		})
	}
	t.Run("no tools", func(t *testing.T) {
		s := granted(t, "ann:1:1", "ann:1:1", "")
		s.tools = nil
		_, err := s.idMap("ann", 1002, 7)
		if e := (*SubIDError)(nil); !errors.As(err, &e) || !strings.Contains(e.Error(), "newuidmap") || !strings.Contains(e.Hint(), "uidmap") {
			t.Error(err)
		}
	})
	t.Run("no files", func(t *testing.T) {
		s := granted(t, "", "", "")
		s.uids, s.gids = "/none/subuid", "/none/subgid"
		if _, err := s.idMap("ann", 1002, 7); !errors.As(err, new(*SubIDError)) {
			t.Error(err)
		}
	})
}

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		ranges []IDRange
		want   uint32
	}{
		{nil, 0}, {[]IDRange{{0, 5, 1}}, 1}, {[]IDRange{{0, 5, 1}, {1, 100, 65536}}, 65537}, {[]IDRange{{0, 5, 1}, {2, 100, 65536}}, 1},
	} {
		if got := Span(c.ranges); got != c.want {
			t.Errorf("%v: %d, want %d", c.ranges, got, c.want)
		}
	}
}
