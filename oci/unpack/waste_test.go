package unpack_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/oci/unpack"
)

// trees unpacks layers, the lowest first.
func trees(t *testing.T, layers ...[]*tar.Header) []string {
	t.Helper()
	var dirs []string
	for _, entries := range layers {
		dir := t.TempDir()
		if _, err := unpack.Layer(t.Context(), bytes.NewReader(archive(t, entries...)), dir, unpack.Options{}); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

func TestHidden(t *testing.T) {
	base := []*tar.Header{dir("etc"), file("etc/a", "12345"), file("etc/b", "123"), dir("d/e"), file("d/e/f", "1234567"), symlink("l", "d"), file("d/g", "1"), hardlink("d/h", "d/g")}
	for _, c := range []struct {
		name   string
		layers [][]*tar.Header
		want   string
	}{
		{"no layer", nil, "[]"},
		{"one layer", [][]*tar.Header{base}, "[{0 0}]"},
		{"nothing in common", [][]*tar.Header{base, {file("z", "1")}}, "[{0 0} {0 0}]"},
		{"an overwritten file", [][]*tar.Header{base, {file("etc/a", "1")}}, "[{1 5} {0 0}]"},
		{"a file over a directory", [][]*tar.Header{base, {file("d", "1")}}, "[{3 8} {0 0}]"},
		{"a directory over a file", [][]*tar.Header{base, {file("etc/a/b", "1")}}, "[{1 5} {0 0}]"},
		{"a link over a directory", [][]*tar.Header{base, {symlink("etc", "/d")}}, "[{2 8} {0 0}]"},
		{"a directory over a link is not the link's target", [][]*tar.Header{base, {file("l/e/f", "1")}}, "[{1 0} {0 0}]"},
		{"a whiteout", [][]*tar.Header{base, {file("etc/.wh.b", "")}}, "[{1 3} {0 0}]"},
		{"a whiteout of a directory", [][]*tar.Header{base, {file(".wh.d", "")}}, "[{3 8} {0 0}]"},
		{"one of two names of a file", [][]*tar.Header{base, {file("d/.wh.g", "")}}, "[{1 0} {0 0}]"},
		{"both names of a file", [][]*tar.Header{base, {file("d/.wh.g", "")}, {file("d/h", "")}}, "[{2 1} {0 0} {0 0}]"},
		{"an opaque directory", [][]*tar.Header{base, {file("etc/.wh..wh..opq", ""), file("etc/a", "12")}}, "[{2 8} {0 0}]"},
		{"an opaque root", [][]*tar.Header{base, {file(".wh..wh..opq", "")}}, "[{6 16} {0 0}]"},
		{"an opaque directory spares what is above", [][]*tar.Header{base, {file("etc/.wh..wh..opq", "")}, {file("etc/a", "12")}}, "[{2 8} {0 0} {0 0}]"},
		{"twice", [][]*tar.Header{base, {file("etc/a", "12")}, {file("etc/a", "1")}}, "[{1 5} {1 2} {0 0}]"},
		{"a file ends the directory below it", [][]*tar.Header{base, {file("etc", "12")}, {file("etc/c", "1")}}, "[{2 8} {1 2} {0 0}]"},
		{"a whiteout ends the directory below it", [][]*tar.Header{base, {file(".wh.etc", "")}, {file("etc/c", "1")}}, "[{2 8} {0 0} {0 0}]"},
		{"a hidden whiteout is not waste", [][]*tar.Header{base, {file("etc/.wh.a", "")}, {file("etc/.wh..wh..opq", "")}}, "[{2 8} {0 0} {0 0}]"},
		{"the same layer twice", [][]*tar.Header{base, base}, "[{6 16} {0 0}]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := unpack.Hidden(t.Context(), trees(t, c.layers...))
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// The same is found out in another way: each file asks all that is above it.
func TestHiddenAgainstModel(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	name := func() string { return strings.Repeat("abcd"[random.IntN(4):][:1], 1+random.IntN(2)) }
	for range 150 {
		var layers [][]*tar.Header
		for range 2 + random.IntN(4) {
			var entries []*tar.Header
			for range 1 + random.IntN(12) {
				path := name()
				for range random.IntN(3) {
					path += "/" + name()
				}
				parent, base := filepath.Split(path)
				switch random.IntN(6) {
				case 0:
					entries = append(entries, dir(path))
				case 1:
					entries = append(entries, file(parent+".wh."+base, ""))
				case 2:
					entries = append(entries, file(path+"/.wh..wh..opq", ""))
				default:
					entries = append(entries, file(path, strings.Repeat("x", random.IntN(100))))
				}
			}
			layers = append(layers, entries)
		}
		dirs := trees(t, layers...)
		got, err := unpack.Hidden(t.Context(), dirs)
		if err != nil {
			t.Fatal(err)
		}
		if want := model(t, dirs); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

// model is Hidden, slowly and by paths.
func model(t *testing.T, trees []string) []unpack.Waste {
	t.Helper()
	waste := make([]unpack.Waste, len(trees))
	for i, tree := range trees {
		err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Type()&fs.ModeCharDevice != 0 {
				return err
			}
			rel, err := filepath.Rel(tree, path)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if slices.ContainsFunc(trees[i+1:], func(above string) bool { return covers(above, rel) }) {
				waste[i].Files++
				waste[i].Bytes += info.Size()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return waste
}

// covers reports whether one tree alone hides a path below it.
func covers(tree, rel string) bool {
	here := tree
	for part := range strings.SplitSeq(rel, "/") {
		var value [1]byte
		if n, err := unix.Lgetxattr(here, "user.overlay.opaque", value[:]); err == nil && string(value[:n]) == "y" {
			return true
		}
		here = filepath.Join(here, part)
		info, err := os.Lstat(here)
		if err != nil {
			return false
		}
		if !info.IsDir() {
			return true
		}
	}
	return true // a directory over a file
}

func TestHiddenStops(t *testing.T) {
	if _, err := unpack.Hidden(t.Context(), []string{filepath.Join(t.TempDir(), "missing")}); err == nil {
		t.Error("a tree that is not there: no error")
	}
	before := descriptors(t)
	if _, err := unpack.Hidden(t.Context(), trees(t, []*tar.Header{file("a/b", "")}, []*tar.Header{file("a/b", "")})); err != nil {
		t.Error(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// Links can lead to directories whose paths are longer than PATH_MAX.
func TestLongRealPaths(t *testing.T) {
	deep := strings.Repeat(strings.Repeat("d", 200)+"/", 19) // 3819 bytes
	entries := []*tar.Header{dir(deep), symlink("l", deep), dir("l/"+deep, mode(0o755)), file("l/"+deep+"f", "12345")}
	dirs := trees(t, entries, entries)
	got, err := unpack.Hidden(t.Context(), dirs)
	if err != nil || fmt.Sprint(got) != "[{2 5} {0 0}]" {
		t.Errorf("got %v (%v), want 2 files of 5 bytes", got, err)
	}
}
