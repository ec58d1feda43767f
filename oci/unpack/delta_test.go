package unpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/oci/unpack"
)

// thousand is a map with the ids 0 to 999.
var thousand = host.IDMap{
	UIDs: []host.IDRange{{Inside: 0, Host: 1000, Size: 1}, {Inside: 1, Host: 100000, Size: 999}},
	GIDs: []host.IDRange{{Inside: 0, Host: 1000, Size: 1}, {Inside: 1, Host: 100000, Size: 999}},
}

// delta unpacks entries and makes their delta. given has a line for each entry that changes hands, the last for each path.
func delta(t *testing.T, entries ...*tar.Header) (flat, to string, given []string, err error) {
	t.Helper()
	flat, to = t.TempDir(), t.TempDir()
	var owners bytes.Buffer
	if _, err := unpack.Layer(t.Context(), bytes.NewReader(archive(t, entries...)), flat, unpack.Options{Owners: &owners}); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack.Delta(t.Context(), flat, to, bytes.NewReader(owners.Bytes()), thousand); err != nil {
		return flat, to, nil, err
	}
	last := map[string]string{}
	for g, err := range unpack.Given(to, bytes.NewReader(owners.Bytes())) {
		if err != nil {
			t.Fatal(err)
		}
		last[g.Path] = fmt.Sprintf("%s %d:%d %04o", g.Path, g.UID, g.GID, g.Mode)
	}
	for _, line := range last {
		given = append(given, line)
	}
	slices.Sort(given)
	return flat, to, given, nil
}

// found are the paths below a directory.
func found(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.Walk(root, func(path string, _ os.FileInfo, err error) error {
		if path != root {
			paths = append(paths, path[len(root)+1:])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestDelta(t *testing.T) {
	link := func(name, to string, uid, gid int) *tar.Header {
		h := symlink(name, to)
		owner(uid, gid)(h)
		return h
	}
	hard := func(name, to string, uid, gid int) *tar.Header {
		h := hardlink(name, to)
		owner(uid, gid)(h)
		return h
	}
	for _, c := range []struct {
		name    string
		entries []*tar.Header
		tree    string // the paths of the delta
		given   []string
	}{
		{"nothing", []*tar.Header{dir("a"), file("a/b", "x")}, "", nil},
		{"a file, a directory and those above it", []*tar.Header{dir("a"), dir("a/b"), dir("a/b/c", owner(9, 8)), file("a/b/c/mine", "x", owner(9, 8)), file("a/b/c/root", "x")},
			"a a/b a/b/c a/b/c/mine", []string{"a/b/c 9:8 0755", "a/b/c/mine 9:8 0644"}},
		{"only a group", []*tar.Header{file("shadow", "x", owner(0, 42), mode(0o640))}, "shadow", []string{"shadow 0:42 0640"}},
		{"links and a pipe", []*tar.Header{link("l", "/nowhere", 5, 5), e(tar.TypeFifo, "p", owner(5, 6))}, "l p", []string{"l 5:5 0644", "p 5:6 0644"}},
		{"all names of a file", []*tar.Header{file("a", "x", owner(5, 5)), hard("b", "a", 5, 5)}, "a b", []string{"a 5:5 0644", "b 5:5 0644"}},
		{"names without a line", []*tar.Header{dir("d"), file("a", "x", owner(5, 5)), hardlink("d/b", "a")}, "a d d/b", []string{"a 5:5 0644"}},
		{"set-id bits", []*tar.Header{file("su", "x", owner(5, 5), mode(0o6755)), dir("mail", owner(0, 8), mode(0o2775)), dir("t", owner(7, 7), mode(0o7777))},
			"mail su t", []string{"mail 0:8 2775", "su 5:5 0755", "t 7:7 3777"}},
		{"closed ones", []*tar.Header{dir("d", owner(5, 5), mode(0)), file("d/f", "x", owner(5, 5), mode(0))}, "d d/f", []string{"d 5:5 0000", "d/f 5:5 0000"}},
		{"the last line", []*tar.Header{file("a", "x", owner(5, 5)), file("a", "y", owner(6, 6)), file("b", "x", owner(5, 5)), file("b", "y")}, "a b",
			[]string{"a 6:6 0644", "b 0:0 0644"}},
		{"what is gone", []*tar.Header{dir("d", owner(5, 5)), file("d/f", "x", owner(5, 5)), symlink("d", "elsewhere"), file("f", "x", owner(5, 5)), dir("f")},
			"d f", []string{"d 0:0 0644", "f 0:0 0755"}},
		{"through a link", []*tar.Header{dir("usr/bin"), symlink("bin", "usr/bin"), file("bin/x", "x", owner(5, 5))}, "usr usr/bin usr/bin/x", []string{"usr/bin/x 5:5 0644"}},
		{"whiteouts and devices", []*tar.Header{file("d/.wh.x", "", owner(5, 5)), e(tar.TypeChar, "null", owner(5, 5), dev(1, 3))}, "", nil},
		{"the root", []*tar.Header{dir("./", owner(5, 5)), file("f", "x", owner(5, 5))}, "f", []string{"f 5:5 0644"}},
		{"odd names", []*tar.Header{file("new\nline", "x", owner(5, 5)), file("\xff\xfe", "x", owner(5, 5))}, "new\nline \xff\xfe", []string{"new\nline 5:5 0644", "\xff\xfe 5:5 0644"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			flat, to, given, err := delta(t, c.entries...)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(found(t, to), " "); got != c.tree {
				t.Errorf("the delta has %q, want %q", got, c.tree)
			}
			if !slices.Equal(given, c.given) {
				t.Errorf("given: %q, want %q", given, c.given)
			}
			for _, path := range found(t, to) {
				var is, was unix.Stat_t
				if err := errors.Join(unix.Lstat(filepath.Join(to, path), &is), unix.Lstat(filepath.Join(flat, path), &was)); err != nil {
					t.Fatal(err)
				}
				if is.Mode&unix.S_IFMT != was.Mode&unix.S_IFMT || is.Mtim != was.Mtim || is.Nlink != was.Nlink && is.Mode&unix.S_IFMT == unix.S_IFREG {
					t.Errorf("%q: %o, %d names, %d; flat: %o, %d, %d", path, is.Mode, is.Nlink, is.Mtim.Sec, was.Mode, was.Nlink, was.Mtim.Sec)
				}
			}
		})
	}
}

func TestDeltaNamesTheIDThatIsMissing(t *testing.T) {
	for _, c := range []struct {
		uid, gid int
		id       uint32
		kind     string
	}{{1000, 0, 1000, host.Users}, {0, 5000, 5000, host.Groups}, {2147483647, 0, 2147483647, host.Users}} {
		_, _, _, err := delta(t, dir("home"), file("home/ann", "x", owner(c.uid, c.gid)))
		e := (*host.RangeError)(nil)
		if !errors.As(err, &e) || e.ID != c.id || e.Span != 1000 || e.Kind != c.kind || !strings.Contains(e.Error(), "home/ann") {
			t.Errorf("%d:%d: %v", c.uid, c.gid, err)
		}
	}
	if _, _, _, err := delta(t, file("a", "x", owner(-1, 0))); !errors.Is(err, unpack.ErrLayer) {
		t.Errorf("-1: %v", err)
	}
}

// TestDeltaAttributes: attributes come along, marks for overlayfs do not, for they would hide the flat tree.
func TestDeltaAttributes(t *testing.T) {
	_, to, _, err := delta(t, dir("d", owner(5, 5), xattr("user.mine", "1")), file("d/.wh..wh..opq", ""), file("d/f", "x", owner(5, 5), xattr("user.too", "2"), at(time.Unix(7, 0))))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"d": "user.mine", "d/f": "user.too"} {
		fd, err := unix.Open(filepath.Join(to, path), unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if names, err := sys.Xattrs(fd, path); err != nil || !slices.Equal(names, []string{want}) {
			t.Errorf("%s: %q, %v", path, names, err)
		}
		_ = unix.Close(fd)
	}
}

func TestDeltaKeepsHoles(t *testing.T) {
	flat, to := t.TempDir(), t.TempDir()
	const size = 1 << 32
	f, err := os.Create(filepath.Join(flat, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	_, first := f.WriteAt([]byte("begin"), 0)
	_, last := f.WriteAt([]byte("end"), size-3)
	if err := errors.Join(first, last, f.Close()); err != nil {
		t.Fatal(err)
	}
	owners := `{"path":"sparse","uid":5,"gid":5,"mode":"0644"}` + "\n"
	if _, err := unpack.Delta(t.Context(), flat, to, strings.NewReader(owners), thousand); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(to, "sparse"), &st); err != nil || st.Size != size || st.Blocks > 1024 {
		t.Errorf("%d bytes in %d blocks, %v", st.Size, st.Blocks, err)
	}
	got, err := os.Open(filepath.Join(to, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	head, tail := make([]byte, 5), make([]byte, 3)
	_, first = got.ReadAt(head, 0)
	_, last = got.ReadAt(tail, size-3)
	if err := errors.Join(first, last); err != nil || string(head) != "begin" || string(tail) != "end" {
		t.Errorf("%q, %q, %v", head, tail, err)
	}
}

// TestDeltaStaysInside: a list of owners that somebody has tampered with leads nowhere else.
func TestDeltaStaysInside(t *testing.T) {
	for _, path := range []string{"../outside", "/etc/passwd", "a//b", "d/../../../outside", "", "out/victim", "d/\\u0000"} {
		base := t.TempDir()
		check := canary(t, base)
		flat, to := filepath.Join(base, "root", "flat"), filepath.Join(base, "root", "to")
		for _, dir := range []string{to, filepath.Join(flat, "d")} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../../outside", filepath.Join(flat, "out")); err != nil {
			t.Fatal(err)
		}
		owners := `{"path":"` + path + `","uid":5,"gid":5,"mode":"0644"}`
		_, err := unpack.Delta(t.Context(), flat, to, strings.NewReader(owners), thousand)
		if path != "out/victim" && err == nil {
			t.Errorf("%q was accepted", path)
		}
		if got := found(t, to); got != nil {
			t.Errorf("%q: the delta has %q", path, got)
		}
		check()
	}
	for _, text := range []string{"{", `{"path":"f","uid":"x"}`} {
		if _, err := unpack.Delta(t.Context(), t.TempDir(), t.TempDir(), strings.NewReader(text), thousand); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := unpack.Delta(ended, t.TempDir(), t.TempDir(), strings.NewReader(`{"path":"f","uid":5}`), thousand); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
