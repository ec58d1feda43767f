package unpack_test

import (
	"archive/tar"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/oci/unpack"
)

// FuzzWhiteouts makes two layers of directories, files, whiteouts and opaque markers on a few names, unpacks both, lays one
// over the other by the rules of overlayfs (overlayfs.rst), and compares that with what the image specification says
// (layer.md, "Applying Changesets"), computed without any file by a model that shares no code with this package.
func FuzzWhiteouts(f *testing.F) {
	const d, file, hide, opq = 0, 1, 2, 3
	at := func(kind, path byte) byte { return kind<<6 | path }
	f.Add([]byte{at(file, 5)}, []byte{at(hide, 5)})
	f.Add([]byte{at(file, 5), at(file, 6)}, []byte{at(opq, 1), at(file, 7)})
	f.Add([]byte{at(file, 5)}, []byte{at(d, 1), at(hide, 1), at(file, 1), at(d, 1), at(file, 6)})
	f.Add([]byte{at(file, 5), at(file, 26)}, []byte{at(hide, 6), at(opq, 1), at(hide, 5), at(d, 5)})
	f.Add([]byte{at(d, 21), at(file, 1)}, []byte{at(hide, 1), at(file, 21), at(opq, 5), at(hide, 0)})
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		if len(lower) > 40 || len(upper) > 40 {
			return
		}
		dirs := []string{t.TempDir(), t.TempDir()}
		var all [][]change
		for i, program := range [][]byte{lower, upper} {
			changes := decodeChanges(program, i)
			all = append(all, changes)
			stream := archive(t, headers(changes)...)
			if _, err := unpack.Layer(t.Context(), bytes.NewReader(stream), dirs[i], unpack.Options{}); err != nil {
				t.Fatalf("%v: %v", changes, err)
			}
		}
		got := map[string]string{}
		overlay(t, got, dirs, "")
		want := changesets(all[0], all[1])
		if !maps.Equal(got, want) {
			t.Errorf("below %v\nabove %v\nshows %v\nwant  %v", all[0], all[1], sorted(got), sorted(want))
		}
	})
}

// change is one entry: a directory, a file with a content, a whiteout of a path, or an opaque marker in one.
type change struct {
	kind, path, content string
}

// decodeChanges reads a program of one byte an entry: two bits of kind, six of path: up to three components of a, b, c.
func decodeChanges(program []byte, layer int) (all []change) {
	for i, b := range program {
		var parts []string
		for n := b & 63; n > 0; n /= 4 {
			if c := n % 4; c > 0 {
				parts = append(parts, string("abc"[c-1]))
			}
		}
		c := change{kind: []string{"dir", "file", "hide", "opaque"}[b>>6], path: strings.Join(parts, "/")}
		if c.path == "" && c.kind != "opaque" {
			continue // the root is always a directory
		}
		if c.kind == "opaque" && c.path == "" {
			continue // that the root is opaque the mount sees to: runtime/rootfs
		}
		if c.kind == "file" {
			c.content = strconv.Itoa(layer) + "." + strconv.Itoa(i)
		}
		all = append(all, c)
	}
	return all
}

func headers(changes []change) (all []*tar.Header) {
	for _, c := range changes {
		switch c.kind {
		case "dir":
			all = append(all, dir(c.path))
		case "file":
			all = append(all, file(c.path, c.content))
		case "hide":
			parent, base := filepath.Split(c.path)
			all = append(all, file(parent+".wh."+base, ""))
		case "opaque":
			all = append(all, file(c.path+"/.wh..wh..opq", ""))
		}
	}
	return all
}

// overlay lists what overlayfs shows of two directories of one name, the lowest first.
func overlay(t *testing.T, into map[string]string, dirs []string, path string) {
	t.Helper()
	seen := map[string]bool{}
	for i := len(dirs) - 1; i >= 0; i-- {
		entries, err := os.ReadDir(dirs[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if seen[entry.Name()] {
				continue
			}
			seen[entry.Name()] = true
			show(t, into, dirs[:i+1], filepath.Join(path, entry.Name()), entry.Name())
		}
		if isOpaque(dirs[i]) {
			return
		}
	}
}

// show lists one name, which the last of the directories has.
func show(t *testing.T, into map[string]string, dirs []string, path, name string) {
	t.Helper()
	var merged []string
	for i := len(dirs) - 1; i >= 0; i-- {
		here := filepath.Join(dirs[i], name)
		info, err := os.Lstat(here)
		if os.IsNotExist(err) {
			if isOpaque(dirs[i]) {
				break
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !info.IsDir() {
			if len(merged) == 0 && info.Mode().IsRegular() {
				raw, err := os.ReadFile(here)
				if err != nil {
					t.Fatal(err)
				}
				into[path] = string(raw)
			}
			break // a whiteout shows nothing, and either hides what is below
		}
		merged = append([]string{here}, merged...)
		if isOpaque(here) || isOpaque(dirs[i]) {
			break
		}
	}
	if len(merged) > 0 {
		into[path] = "dir"
		overlay(t, into, merged, path)
	}
}

func isOpaque(dir string) bool {
	var value [1]byte
	n, err := unix.Lgetxattr(dir, "user.overlay.opaque", value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

// changesets computes the same from what the entries mean.
func changesets(lower, upper []change) map[string]string {
	below, _ := layerModel(lower)
	own, hidden := layerModel(upper)
	merged := maps.Clone(own)
	for path, what := range below {
		if hidesPath(own, hidden, path) {
			continue
		}
		if _, there := merged[path]; !there {
			merged[path] = what
		}
	}
	return merged
}

// hidesPath reports whether a layer hides a path of the one below: by a whiteout of it or of a directory above, by an opaque
// directory above, or by being no directory where the path needs one.
func hidesPath(own map[string]string, hidden map[string]bool, path string) bool {
	parts := strings.Split(path, "/")
	for i := range parts {
		above := strings.Join(parts[:i+1], "/")
		if hidden[above] && (i < len(parts)-1 || own[above] == "") {
			return true
		}
		if what := own[above]; what != "" && what != "dir" {
			return true
		}
	}
	return false
}

// layerModel is the tree of one layer, and the paths of which it hides what is below: those of whiteouts, of opaque markers,
// and those that were something else before they became a directory.
func layerModel(changes []change) (tree map[string]string, hidden map[string]bool) {
	tree, hidden = map[string]string{}, map[string]bool{}
	remove := func(path string) {
		for p := range tree {
			if p == path || strings.HasPrefix(p, path+"/") {
				delete(tree, p)
			}
		}
	}
	mkdir := func(path string) {
		parts := strings.Split(path, "/")
		for i := range parts {
			above := strings.Join(parts[:i+1], "/")
			if what := tree[above]; what != "" && what != "dir" {
				hidden[above] = true
			}
			tree[above] = "dir"
		}
	}
	parent := func(path string) {
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			mkdir(path[:i])
		}
	}
	for _, c := range changes {
		switch c.kind {
		case "dir":
			mkdir(c.path)
		case "file":
			parent(c.path)
			remove(c.path)
			tree[c.path] = c.content
		case "hide":
			parent(c.path)
			hidden[c.path] = true
		case "opaque":
			mkdir(c.path)
			hidden[c.path] = true
		}
	}
	return tree, hidden
}

func sorted(m map[string]string) (all []string) {
	for _, path := range slices.Sorted(maps.Keys(m)) {
		all = append(all, path+"="+m[path])
	}
	return all
}
