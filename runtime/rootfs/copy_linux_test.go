package rootfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// TestCopyIsWhatAnOverlayShows: of layers that change each other's kinds of file, hide names and cover directories.
func TestCopyIsWhatAnOverlayShows(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	if err := os.MkdirAll(filepath.Join(outside, "kept"), 0o755); err != nil {
		t.Fatal(err)
	}
	layers := [][]string{
		{"dir/file=one", "dir/gone=x", "dir/sub/deep=x", "covered/old=x", "becomes-dir=x", "becomes-file/x=x", "becomes-link=x", "link->" + outside, "same=x"},
		{"dir/gone!", "dir/file=two", "covered/=", "covered/new=new", "becomes-dir/in=in", "becomes-file=now", "becomes-link->dir", "link/mine=mine"},
		{"dir/sub!", "same!", "pipe|"},
		{"dir/sub/again=again"},
	}
	root := Root{Upper: filepath.Join(dir, "upper")}
	if err := os.Mkdir(root.Upper, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, entries := range layers {
		layer := filepath.Join(dir, "layer"+string(rune('0'+i)))
		root.Layers = append(root.Layers, layer)
		for _, entry := range entries {
			addEntry(t, layer, entry)
		}
	}
	bytes, err := root.copyLayers(root.Upper)
	if err != nil {
		t.Fatal(err)
	}
	want := "becomes-dir/ becomes-dir/in=in becomes-file=now becomes-link->dir covered/ covered/new=new dir/ dir/file=two dir/sub/ dir/sub/again=again " +
		"link/ link/mine=mine pipe|"
	if got := strings.Join(listing(t, root.Upper), " "); got != want {
		t.Errorf("the copy is\n%s, want\n%s", got, want)
	}
	if bytes == 0 {
		t.Error("it took no bytes")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("a link was followed: %v, %v", left, err)
	}
}

// addEntry makes one name of a layer: "name=content", "name->target", "name|" for a pipe, "name!" for what hides it, "name/=" for
// a directory that covers the one below.
func addEntry(t *testing.T, layer, entry string) {
	t.Helper()
	name := strings.FieldsFunc(entry, func(r rune) bool { return strings.ContainsRune("=!|", r) })[0]
	name, target, isLink := strings.Cut(name, "->")
	path := filepath.Join(layer, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	switch {
	case err != nil:
	case isLink:
		err = os.Symlink(target, path)
	case strings.HasSuffix(entry, "/="):
		if err = os.Mkdir(path, 0o755); err == nil {
			err = unix.Setxattr(path, sys.OverlayOpaque, []byte("y"), 0)
		}
	case strings.HasSuffix(entry, "!"):
		err = unix.Mknod(path, unix.S_IFCHR, 0)
	case strings.HasSuffix(entry, "|"):
		err = unix.Mkfifo(path, 0o644)
	default:
		_, content, _ := strings.Cut(entry, "=")
		err = os.WriteFile(path, []byte(content), 0o640)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// listing names what is below a directory in the words of addEntry.
func listing(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, dir+"/")
		switch {
		case err != nil || path == dir:
			return err
		case d.IsDir():
			name += "/"
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			list = append(list, name+"->"+target)
			return err
		case d.Type() == fs.ModeNamedPipe:
			name += "|"
		default:
			raw, err := os.ReadFile(path)
			list = append(list, name+"="+string(raw))
			return err
		}
		list = append(list, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
