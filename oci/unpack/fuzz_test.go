package unpack_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/oci/unpack"
)

var fuzzLimits = unpack.Options{Limits: unpack.Limits{Bytes: 1 << 20, Entries: 300, Depth: 30}}

// FuzzLayer makes archives out of a few names that get in each other's way, so that most of them are well-formed and
// mean mischief. Whatever the layer says, nothing outside changes and nothing dangerous is inside.
func FuzzLayer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 0x10, 0x41, 0, 0x12, 0x00})       // a link, then a file through it
	f.Add([]byte{5, 0x11, 0, 0, 0x11, 0, 2, 0x11, 9}) // a directory, a file, a link of one name
	f.Add([]byte("\x02\x30\x42\x02\x31\x03\x00\x43\x00\x01\x44\x21\x05\x11\x00\x00\x51\x00"))
	f.Fuzz(func(t *testing.T, program []byte) {
		var buf bytes.Buffer
		tw := tar.NewWriter(&buf)
		for ; len(program) >= 3; program = program[3:] {
			h := &tar.Header{
				Typeflag: "01234567"[program[0]%8], Name: fuzzName(program[1]), Mode: int64(program[0]) << 4,
				PAXRecords: map[string]string{"SCHILY.xattr.user.overlay.opaque": "y"},
			}
			if h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink {
				h.Linkname = fuzzName(program[2])
			}
			if tw.WriteHeader(h) != nil {
				continue
			}
		}
		if tw.Close() != nil {
			return
		}
		unpackAndInspect(t, buf.Bytes())
	})
}

// fuzzName makes a path of two of eight components, absolute or not.
func fuzzName(b byte) string {
	parts := []string{"a", "b", "..", ".wh.a", ".wh..wh..opq", ".", "outside", "victim"}
	name := parts[b&7] + "/" + parts[b>>3&7]
	switch b >> 6 {
	case 1:
		return "/" + name
	case 2:
		return parts[b&7]
	case 3:
		return name + "/"
	}
	return name
}

// FuzzStream is about the bytes of archives.
func FuzzStream(f *testing.F) {
	f.Add(archive(f, dir("d"), file("d/f", "content"), symlink("l", "d"), hardlink("h", "d/f"), file("l/.wh.x", ""), file("x", "y", xattr("user.a", "b"))))
	f.Add(block('x', "pax", "30 path=../../outside/victim___\n"))
	f.Add(block('L', "././@LongLink", "../outside/victim"))
	f.Fuzz(func(t *testing.T, raw []byte) { unpackAndInspect(t, raw) })
}

// unpackAndInspect unpacks in several ways, which must agree, with a canary beside each: see stream.
func unpackAndInspect(t *testing.T, raw []byte) {
	t.Helper()
	root, _, err := stream(t, fuzzLimits, raw)
	inspect(t, root, err == nil)
}

// inspect fails for anything that must never be in a tree, or in one that is whole.
func inspect(t *testing.T, root string, whole bool) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
			t.Errorf("%s has mode %o", path, st.Mode)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFBLK, unix.S_IFSOCK:
			t.Errorf("%s has mode %o", path, st.Mode)
		case unix.S_IFCHR:
			if st.Rdev != 0 {
				t.Errorf("%s is the device %d", path, st.Rdev)
			}
			for dir := filepath.Dir(path); whole && len(dir) >= len(root); dir = filepath.Dir(dir) {
				var value [8]byte
				if _, err := unix.Lgetxattr(dir, "user.overlay.opaque", value[:]); err == nil {
					t.Errorf("%s is a whiteout in the opaque directory %s", path, dir)
				}
			}
		case unix.S_IFREG:
			var value [8]byte
			if _, err := unix.Lgetxattr(path, "user.overlay.opaque", value[:]); err == nil {
				t.Errorf("%s has a forged attribute", path)
			}
		}
		if strings.HasPrefix(filepath.Base(path), ".wh.") {
			t.Errorf("%s was not understood", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
