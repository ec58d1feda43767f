package unpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/unpack"
)

// e is a header with the defaults of a test: mode 0644, owner 0:0, an old time.
func e(typ byte, name string, changes ...func(*tar.Header)) *tar.Header {
	h := &tar.Header{Typeflag: typ, Name: name, Mode: 0o644, ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}
	if typ == tar.TypeDir {
		h.Mode = 0o755
	}
	for _, change := range changes {
		change(h)
	}
	return h
}

func dir(name string, changes ...func(*tar.Header)) *tar.Header {
	return e(tar.TypeDir, name, changes...)
}

// file holds its own content in a PAX record of this test; archive builds from it.
func file(name, content string, changes ...func(*tar.Header)) *tar.Header {
	h := e(tar.TypeReg, name, changes...)
	h.Size = int64(len(content))
	h.Xattrs = map[string]string{contentKey: content} //nolint:staticcheck // a place to carry the content
	return h
}

func symlink(name, to string) *tar.Header {
	return e(tar.TypeSymlink, name, func(h *tar.Header) { h.Linkname = to })
}

func hardlink(name, to string) *tar.Header {
	return e(tar.TypeLink, name, func(h *tar.Header) { h.Linkname = to })
}

func mode(m int64) func(*tar.Header)   { return func(h *tar.Header) { h.Mode = m } }
func owner(u, g int) func(*tar.Header) { return func(h *tar.Header) { h.Uid, h.Gid = u, g } }
func at(t time.Time) func(*tar.Header) { return func(h *tar.Header) { h.ModTime = t } }
func dev(a, b int64) func(*tar.Header) { return func(h *tar.Header) { h.Devmajor, h.Devminor = a, b } }
func xattr(k, v string) func(*tar.Header) {
	return func(h *tar.Header) {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+k] = v
	}
}

const contentKey = "test.content"

// archive is the tar stream of the entries.
func archive(t testing.TB, entries ...*tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, h := range entries {
		c := *h
		content := c.Xattrs[contentKey] //nolint:staticcheck // see file
		c.Xattrs = nil                  //nolint:staticcheck // see file
		if err := tw.WriteHeader(&c); err != nil {
			t.Fatalf("entry %q: %v", h.Name, err)
		}
		if _, err := io.WriteString(tw, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// layer unpacks entries into a fresh directory, in every way there is, beside a canary, which must not change. All ways must
// give the same.
func layer(t *testing.T, opts unpack.Options, entries ...*tar.Header) (root string, stats unpack.Stats, err error) {
	t.Helper()
	return stream(t, opts, archive(t, entries...))
}

// canary puts files beside a root directory and returns what fails the test if any of them changed, or others appeared.
func canary(t testing.TB, base string) (check func()) {
	t.Helper()
	outside := filepath.Join(base, "outside")
	if err := os.MkdirAll(filepath.Join(outside, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"victim", "dir/victim"} {
		if err := os.WriteFile(filepath.Join(outside, name), []byte("untouched"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshot(t, base)
	return func() {
		t.Helper()
		if after := snapshot(t, base); after != before {
			t.Errorf("something outside of the layer changed:\nbefore\n%s\nafter\n%s", before, after)
		}
	}
}

// snapshot describes everything in base but the root: identity, mode, links, times and content.
func snapshot(t testing.TB, base string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == base {
			return err
		}
		if filepath.Base(path) == "root" {
			return fs.SkipDir
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		content := ""
		if d.Type().IsRegular() {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(raw)
		}
		fmt.Fprintf(&all, "%s %d %o %d %v %v %q\n", path, st.Ino, st.Mode, st.Nlink, st.Mtim, st.Ctim, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// look describes one path of an unpacked layer in a word or two.
func look(t *testing.T, root, name string) string {
	t.Helper()
	path := filepath.Join(root, name)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "absent"
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		var value [8]byte
		kind := "dir"
		if n, err := unix.Lgetxattr(path, "user.overlay.opaque", value[:]); err == nil && string(value[:n]) == "y" {
			kind = "opaque"
		}
		return fmt.Sprintf("%s %04o", kind, st.Mode&0o7777)
	case unix.S_IFREG:
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("file %04o %s", st.Mode&0o7777, raw)
	case unix.S_IFLNK:
		to, _ := os.Readlink(path)
		return "link " + to
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return "whiteout"
		}
		return "device"
	case unix.S_IFIFO:
		return fmt.Sprintf("fifo %04o", st.Mode&0o7777)
	}
	return "other"
}

func TestLayer(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []*tar.Header
		want    map[string]string
	}{
		{"plain", []*tar.Header{
			dir("usr/"), dir("usr/bin", mode(0o700)), file("usr/bin/a", "A", mode(0o755)), symlink("bin", "usr/bin"), hardlink("b", "usr/bin/a"),
			e(tar.TypeFifo, "pipe"), dir("tmp", mode(0o1777)), file("empty", ""),
		}, map[string]string{
			"usr": "dir 0755", "usr/bin": "dir 0700", "usr/bin/a": "file 0755 A", "bin": "link usr/bin", "b": "file 0755 A", "pipe": "fifo 0644",
			"tmp": "dir 1777", "empty": "file 0644 ",
		}},
		{"missing parents", []*tar.Header{file("a/b/c", "x")}, map[string]string{"a": "dir 0755", "a/b": "dir 0755", "a/b/c": "file 0644 x"}},
		{"names are normalised", []*tar.Header{file("/abs", "1"), file("./dot", "2"), file("a//b/./c", "3"), dir("./")},
			map[string]string{"abs": "file 0644 1", "dot": "file 0644 2", "a/b/c": "file 0644 3"}},
		{"strange names", []*tar.Header{file("new\nline", "1"), file("\x1b[31m", "2"), file("caf\xe9", "3"), file(strings.Repeat("n", 255), "4"), file("...", "5")},
			map[string]string{"new\nline": "file 0644 1", "\x1b[31m": "file 0644 2", "caf\xe9": "file 0644 3", strings.Repeat("n", 255): "file 0644 4", "...": "file 0644 5"}},
		{"usable by its owner", []*tar.Header{dir("d", mode(0)), file("d/f", "x", mode(0)), file("g", "y", mode(0o066))},
			map[string]string{"d": "dir 0700", "d/f": "file 0400 x", "g": "file 0466 y"}},
		{"set-id bits come off", []*tar.Header{file("su", "x", mode(0o4755)), file("sg", "x", mode(0o2755)), file("st", "x", mode(0o1644)), dir("d", mode(0o2775))},
			map[string]string{"su": "file 0755 x", "sg": "file 0755 x", "st": "file 0644 x", "d": "dir 0775"}},
		{"modes do not depend on the umask", []*tar.Header{file("f", "x", mode(0o666)), dir("d", mode(0o777)), e(tar.TypeFifo, "p", mode(0o600))},
			map[string]string{"f": "file 0666 x", "d": "dir 0777", "p": "fifo 0600"}},
		{"parent through a link of the same layer", []*tar.Header{dir("usr/bin"), symlink("bin", "usr/bin"), file("bin/ls", "x"), file("bin/sub/f", "y")},
			map[string]string{"bin": "link usr/bin", "usr/bin/ls": "file 0644 x", "usr/bin/sub/f": "file 0644 y"}},
		{"parent through a link to a lower layer", []*tar.Header{symlink("lib", "usr/lib"), file("lib/libc", "x")},
			map[string]string{"lib": "link usr/lib", "usr/lib/libc": "file 0644 x"}},
		{"absolute link stays inside", []*tar.Header{symlink("a/l", "/b/c"), file("a/l/f", "x")}, map[string]string{"b/c/f": "file 0644 x"}},
		{"link upwards stops at the root", []*tar.Header{symlink("l", "../../../../outside"), file("l/victim", "x")}, map[string]string{"outside/victim": "file 0644 x"}},
		{"link within a link", []*tar.Header{symlink("a", "b/c/../d"), symlink("b", "/e"), dir("e/c"), file("a/f", "x")}, map[string]string{"e/d/f": "file 0644 x"}},
		{"hard link through a link", []*tar.Header{dir("usr"), symlink("u", "usr"), file("usr/f", "x"), hardlink("g", "/u/f")}, map[string]string{"g": "file 0644 x"}},
		{"hard link to a link", []*tar.Header{symlink("l", "/etc/passwd"), hardlink("m", "l")}, map[string]string{"m": "link /etc/passwd"}},
		{"whiteouts", []*tar.Header{file(".wh.gone", ""), file("d/.wh.gone", ""), file("d/e/.wh..wh..opq", ""), file(".wh....", "")},
			map[string]string{"gone": "whiteout", "d/gone": "whiteout", "d/e": "opaque 0755", ".wh.gone": "absent", "...": "whiteout"}},
		{"opaque is independent of the order", []*tar.Header{file("a/.wh..wh..opq", ""), file("a/f", "x"), dir("a"), file("b/f", "y"), file("b/.wh..wh..opq", ""), file("b/.wh..wh..opq", "")},
			map[string]string{"a": "opaque 0755", "a/f": "file 0644 x", "b": "opaque 0755", "b/f": "file 0644 y"}},
		{"whiteouts spare their own layer", []*tar.Header{file("f", "x"), file(".wh.f", ""), file("d/f", "y"), file(".wh.d", "")},
			map[string]string{"f": "file 0644 x", "d": "opaque 0755", "d/f": "file 0644 y"}},
		{"entries after their whiteout", []*tar.Header{file(".wh.f", ""), file("f", "x"), file(".wh.d", ""), dir("d", mode(0o711)), file(".wh.i", ""), file("i/f", "z")},
			map[string]string{"f": "file 0644 x", "d": "opaque 0711", "i": "opaque 0755", "i/f": "file 0644 z"}},
		{"a whiteout outlives what replaces it", []*tar.Header{dir("d"), file(".wh.d", ""), file("d", "x"), dir("d"), file(".wh.e", ""), symlink("e", "/"), dir("e"), file(".wh.f", ""), file("f", "x"), file("f/g", "x")},
			map[string]string{"d": "opaque 0755", "e": "opaque 0755", "f": "opaque 0755"}},
		{"no whiteouts in opaque directories", []*tar.Header{
			file("a/.wh..wh..opq", ""), file("a/.wh.x", ""), file("a/b/c/.wh.y", ""), file("d/.wh.x", ""), file("d/e/.wh.z", ""), file("d/.wh..wh..opq", ""), file("f/.wh.x", ""),
			file("g/h/.wh.x", ""), file(".wh.g", ""), file("i/.wh.x", ""), dir("i/x"), file("i/.wh..wh..opq", ""), file("d-/.wh.x", ""),
		}, map[string]string{"a": "opaque 0755", "a/x": "absent", "a/b/c/y": "absent", "d/x": "absent", "d/e/z": "absent", "f/x": "whiteout", "g/h/x": "absent", "g": "opaque 0755",
			"i/x": "opaque 0755", "d-/x": "whiteout"}},
		{"an opaque root", []*tar.Header{file("a/.wh.x", ""), file(".wh.y", ""), file(".wh..wh..opq", ""), file(".wh.z", "")},
			map[string]string{"": "opaque 0755", "a/x": "absent", "y": "absent", "z": "absent"}},
		{"AUFS's own files are passed over", []*tar.Header{dir(".wh..wh.plnk"), file(".wh..wh.plnk/12.34", "x"), file(".wh..wh.aufs", "")},
			map[string]string{".wh..wh.plnk": "absent", ".wh..wh.aufs": "absent"}},
		{"the last of duplicates wins", []*tar.Header{
			file("a", "1"), file("a", "2"), file("b", "1"), dir("b"), file("b/f", "x"), dir("c"), file("c/f", "x"), file("c", "3"), symlink("d", "a"), file("d", "4"),
			dir("e", mode(0o700)), dir("e", mode(0o711)), file("f", "5"), hardlink("g", "f"), file("g", "6"), file("h", "7"), file("h/i", "8"),
		}, map[string]string{"a": "file 0644 2", "b": "opaque 0755", "b/f": "file 0644 x", "c": "file 0644 3", "d": "file 0644 4", "e": "dir 0711", "f": "file 0644 5",
			"g": "file 0644 6", "h": "opaque 0755", "h/i": "file 0644 8"}},
		{"a directory becomes a link under a path in use", []*tar.Header{dir("d"), file("d/1", "x"), symlink("d", "/e"), file("d/2", "y")},
			map[string]string{"d": "link /e", "e/2": "file 0644 y", "e/1": "absent"}},
		{"a link is replaced under its own path", []*tar.Header{dir("x"), symlink("x/l", "."), file("x/l/a", "1"), file("x/l/l", "2"), file("x/l/b", "3")},
			map[string]string{"x/a": "file 0644 1", "x/l": "opaque 0755", "x/l/b": "file 0644 3"}},
		{"device nodes are left out", []*tar.Header{e(tar.TypeChar, "null", dev(1, 3)), e(tar.TypeBlock, "sda", dev(8, 0)), e(tar.TypeChar, "forged", dev(0, 0))},
			map[string]string{"null": "absent", "sda": "absent", "forged": "absent"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, _, err := layer(t, unpack.Options{}, c.entries...)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				if got := look(t, root, name); got != want {
					t.Errorf("%q is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestHostileLayerIsRefused(t *testing.T) {
	deep := strings.Repeat("d/", 600) + "f"
	var deeper []*tar.Header
	for i := range 3 {
		d := strings.Repeat("d/", 250) + fmt.Sprint("s", i)
		deeper = append(deeper, dir(strings.Repeat(fmt.Sprint("s", i-1, "/"), min(i, 1))+d), symlink(fmt.Sprint("s", i), strings.Repeat(fmt.Sprint("s", i-1, "/"), min(i, 1))+d))
	}
	deeper = append(deeper, file("s2/f", "x"))
	loop := []*tar.Header{symlink("a", "b"), symlink("b", "a"), file("a/f", "x")}
	for _, c := range []struct {
		name    string
		want    error
		entries []*tar.Header
	}{
		{"parent directory", unpack.ErrEscape, []*tar.Header{file("../outside/victim", "x")}},
		{"parent directory after an absolute start", unpack.ErrEscape, []*tar.Header{file("/../outside/victim", "x")}},
		{"parent directory inside", unpack.ErrEscape, []*tar.Header{file("a/../../outside/victim", "x")}},
		{"directory above", unpack.ErrEscape, []*tar.Header{dir("..")}},
		{"hard link outside", unpack.ErrEscape, []*tar.Header{hardlink("l", "../outside/victim")}},
		{"hard link to an absolute path", unpack.ErrLayer, []*tar.Header{hardlink("l", "/etc/passwd")}},
		{"hard link through a link outside", unpack.ErrLayer, []*tar.Header{symlink("l", "../outside"), hardlink("m", "l/victim")}},
		{"hard link to a directory", unpack.ErrLayer, []*tar.Header{dir("d"), hardlink("l", "d")}},
		{"hard link to a whiteout", unpack.ErrLayer, []*tar.Header{file(".wh.w", ""), hardlink("l", "w")}},
		{"hard link to itself", unpack.ErrLayer, []*tar.Header{file("f", "x"), hardlink("f", "f")}},
		{"hard link to the root", unpack.ErrLayer, []*tar.Header{hardlink("f", "/")}},
		{"the root becomes a link", unpack.ErrEscape, []*tar.Header{symlink("./", "/etc")}},
		{"the root becomes a link, absolute", unpack.ErrEscape, []*tar.Header{symlink("/.", "/etc"), file("passwd", "x")}},
		{"links in a circle", unpack.ErrLayer, loop},
		{"whiteout of the directory", unpack.ErrLayer, []*tar.Header{file("d/.wh..", "")}},
		{"whiteout of the directory above", unpack.ErrLayer, []*tar.Header{file("d/.wh...", "")}},
		{"whiteout of nothing", unpack.ErrLayer, []*tar.Header{file(".wh.", "")}},
		{"path through a whiteout", unpack.ErrLayer, []*tar.Header{file(".wh.d/f", "")}},
		{"component of 256 bytes", unpack.ErrLayer, []*tar.Header{file(strings.Repeat("n", 256), "x")}},
		{"path of 5000 bytes", unpack.ErrLayer, []*tar.Header{file(strings.Repeat("n/", 2500)+"f", "x")}},
		{"600 directories deep", unpack.ErrLimit, []*tar.Header{file(deep, "x")}},
		{"deeper by links than any name", unpack.ErrLimit, deeper},
		{"link of 5000 bytes", unpack.ErrLayer, []*tar.Header{symlink("l", strings.Repeat("n", 5000))}},
		{"unknown type", unpack.ErrLayer, []*tar.Header{e('Z', "z")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := layer(t, unpack.Options{}, c.entries...)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			var entry *unpack.EntryError
			if !errors.As(err, &entry) {
				t.Errorf("error %v does not name its entry", err)
			}
		})
	}
}

// Each symbolic link here leads to the canary; files and directories written "through" it must land inside.
func TestLinksToTheOutside(t *testing.T) {
	for _, target := range []string{"../outside", "../outside/dir", "../outside/victim", "/../outside", "/proc/self/cwd", "/proc/self/root", "/proc/self/fd/3", "//"} {
		for _, second := range []*tar.Header{file("l/victim", "x"), dir("l", mode(0o777)), file("l", "x"), dir("l/dir", mode(0o777)), symlink("l/dir", "/"),
			e(tar.TypeFifo, "l/victim"), file("l/.wh.victim", ""), file("l/.wh..wh..opq", ""), file(".wh.l", "")} {
			// Some of these fail: what matters is the canary.
			_, _, _ = layer(t, unpack.Options{}, symlink("l", target), second)
			_, _, _ = layer(t, unpack.Options{}, symlink("k", target), symlink("l", "k"), second)
		}
	}
}

func TestTimes(t *testing.T) {
	old, future := time.Unix(1e9, 123456789), time.Unix(1<<40, 0)
	root, _, err := layer(t, unpack.Options{},
		dir("d", at(old)), file("d/f", "x", at(old)), symlink("d/l", "f"), file("past", "x", at(time.Unix(-1, 0))), file("future", "x", at(future)),
		dir("e", at(old)), file("e/.wh.x", ""), dir("g", at(old)), file("g", "now a file"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "d/f", "d/l", "e"} {
		st, err := os.Lstat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]time.Time{true: time.Unix(1e9, 0), false: old}[name == "d/l"]; !st.ModTime().Equal(want) {
			t.Errorf("%s has the time %v, want %v", name, st.ModTime(), want)
		}
	}
}

func TestXattrs(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	root, stats, err := layer(t, unpack.Options{},
		file("f", "x", xattr("user.good", "v"), xattr("security.capability", "v"), xattr("trusted.overlay.opaque", "y"), xattr("user.overlay.whiteout", "y"),
			xattr("user.overlay.redirect", "/etc"), xattr("system.posix_acl_access", "v"), xattr("user.big", big)),
		dir("d", xattr("user.overlay.opaque", "y"), xattr("user.good", "v")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "d"} {
		buf := make([]byte, 4096)
		n, err := unix.Llistxattr(filepath.Join(root, name), buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(buf[:n]); got != "user.good\x00" {
			t.Errorf("%s has the attributes %q, want only user.good", name, got)
		}
	}
	if stats.Dropped != 7 {
		t.Errorf("%d dropped, want 7", stats.Dropped)
	}
}

func TestOwners(t *testing.T) {
	var out bytes.Buffer
	_, _, err := layer(t, unpack.Options{Owners: &out},
		file("same", "x"), dir("samedir"), symlink("samelink", "x"),
		file("shadow", "x", owner(0, 42), mode(0o640)), file("su", "x", mode(0o4755)), file("home", "x", owner(1000, 1000)), e(tar.TypeChar, "null", dev(1, 3), mode(0o666)),
		file("cap", "x", xattr("security.capability", "v")), file("caf\xe9", "x", owner(1, 1)), dir(".", owner(5, 5)), file("big", "x", owner(1<<31, 1<<32-1)),
		file("twice", "x", owner(7, 7)), file("twice", "x"), symlink("u", "usr"), file("u/f", "x", owner(9, 9)), hardlink("h", "home"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]unpack.Owner{}
	for line := range strings.Lines(out.String()) {
		var o unpack.Owner
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got[o.Path] = o
	}
	for path, want := range map[string]unpack.Owner{
		"shadow": {Path: "shadow", GID: 42, Mode: "0640"}, "su": {Path: "su", Mode: "4755"}, "home": {Path: "home", UID: 1000, GID: 1000, Mode: "0644"},
		"null": {Path: "null", Mode: "0666", Device: "c 1:3"}, "cap": {Path: "cap", Mode: "0644", Dropped: []string{"security.capability"}},
		"caf\ufffd": {Path: "caf\ufffd", RawPath: []byte("caf\xe9"), UID: 1, GID: 1, Mode: "0644"}, ".": {Path: ".", UID: 5, GID: 5, Mode: "0755"},
		"big": {Path: "big", UID: 1 << 31, GID: 1<<32 - 1, Mode: "0644"}, "twice": {Path: "twice", Mode: "0644"}, "usr/f": {Path: "usr/f", UID: 9, GID: 9, Mode: "0644"},
	} {
		if fmt.Sprint(got[path]) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", path, got[path], want)
		}
	}
	for _, path := range []string{"same", "samedir", "samelink"} {
		if o, there := got[path]; there {
			t.Errorf("%s is as on disk and yet recorded: %+v", path, o)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name    string
		limits  unpack.Limits
		entries []*tar.Header
	}{
		{"bytes", unpack.Limits{Bytes: 10000}, []*tar.Header{file("a", strings.Repeat("x", 6000)), file("b", strings.Repeat("x", 6000))}},
		{"stream", unpack.Limits{Bytes: 4096}, []*tar.Header{dir("a"), dir("b"), dir("c"), dir("d"), dir("e"), dir("f"), dir("g"), dir("h")}},
		{"entries", unpack.Limits{Entries: 2}, []*tar.Header{dir("a"), dir("b"), dir("c")}},
		{"depth", unpack.Limits{Depth: 2}, []*tar.Header{file("a/b/c", ""), file("a/b/c/d", "")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := layer(t, unpack.Options{Limits: c.limits}, c.entries...); !errors.Is(err, unpack.ErrLimit) {
				t.Errorf("error %v, want ErrLimit", err)
			}
		})
	}
	// Exactly at the limit is allowed.
	raw := archive(t, file("a", "x"))
	if _, _, err := stream(t, unpack.Options{Limits: unpack.Limits{Bytes: int64(len(raw)), Entries: 1}}, raw); err != nil {
		t.Errorf("a layer exactly at its limits: %v", err)
	}
}

// A sparse file of 2^62 bytes takes two blocks in an archive (GNU sparse format 1.0).
func TestSparseBomb(t *testing.T) {
	var records strings.Builder
	for _, kv := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=bomb", "GNU.sparse.realsize=4611686018427387904"} {
		fmt.Fprintf(&records, "%d %s\n", len(kv)+4, kv) // all lengths have two digits
	}
	raw := slices.Concat(block('x', "pax", records.String()), block('0', "bomb", "1\n0\n0\n"), make([]byte, 1024))
	if _, _, err := stream(t, unpack.Options{}, raw); !errors.Is(err, unpack.ErrLimit) {
		t.Errorf("a sparse file of 2^62 bytes: %v, want ErrLimit", err)
	}
}

// block is a raw header and one block of content.
func block(typ byte, name, content string) []byte {
	b := make([]byte, 1024)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	size := len(content)
	if typ == '0' {
		size = 512
	}
	copy(b[124:], fmt.Sprintf("%011o\x0000000000000\x00", size))
	b[156] = typ
	copy(b[257:], "ustar\x0000")
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	copy(b[512:], content)
	return b
}

func TestTruncated(t *testing.T) {
	raw := archive(t, dir("d"), file("d/f", strings.Repeat("x", 3000)), symlink("l", "d"), file("d/g", strings.Repeat("x", 100<<10)))
	content := len(raw) - 1024 // the two blocks of zeros at the end may be missing
	for cut := 1; cut < content; cut += map[bool]int{true: 97, false: 9973}[cut < 8192] {
		if cut%512 == 0 || cut > 1024+3000 && cut < 4096 || cut > len(raw)-1024-352 {
			continue // between entries, or in padding, the cut cannot be seen here; the digest tells
		}
		if _, _, err := stream(t, unpack.Options{}, raw[:cut]); !errors.Is(err, unpack.ErrLayer) {
			t.Errorf("cut at %d of %d: %v, want ErrLayer", cut, len(raw), err)
		}
	}
}

// What follows the end of the archive is read, for it is part of the digest.
func TestReadsToTheEnd(t *testing.T) {
	raw := append(archive(t, file("f", "x")), make([]byte, 100000)...)
	for _, w := range ways {
		r := w.reader(raw)
		if _, err := unpack.Layer(t.Context(), r, t.TempDir(), w.options(unpack.Options{})); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: not all was read", w.name)
		}
	}
}

func TestStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	raw := archive(t, file("a", "x"), file("b", strings.Repeat("x", 1<<20)))
	r := io.MultiReader(bytes.NewReader(raw[:2048]), readerFunc(func([]byte) (int, error) { cancel(gone); return 1, nil }))
	if _, err := unpack.Layer(ctx, r, t.TempDir(), unpack.Options{}); !errors.Is(err, gone) {
		t.Errorf("error %v, want the cause of the context", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestDiskFullAndOtherFaults(t *testing.T) {
	for _, op := range []string{"create", "write", "mkdir", "whiteout"} {
		restore := fsx.InjectFaults(func(got, path string) error {
			if got == op {
				return &fs.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
			}
			return nil
		})
		_, _, err := layer(t, unpack.Options{}, dir("d"), file("f", "x"), file(".wh.w", ""))
		restore()
		if !fsx.IsFull(err) {
			t.Errorf("%s without space: %v", op, err)
		}
	}
}

// A layer of many directories must neither run out of descriptors nor leave one behind.
func TestDescriptors(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	var entries []*tar.Header
	for i := range 150 {
		entries = append(entries, file(fmt.Sprintf("d%d/e/f", i), "x"), hardlink(fmt.Sprintf("h%d/l", i), fmt.Sprintf("d%d/e/f", i)))
	}
	if _, _, err := layer(t, unpack.Options{}, entries...); err != nil {
		t.Fatal(err)
	}
	if _, _, err := layer(t, unpack.Options{}, append(entries, file("../x", ""))...); err == nil {
		t.Fatal("no error")
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
