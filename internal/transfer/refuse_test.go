package transfer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// carry copies what is at a path of the host into a directory.
func carry(t *testing.T, from, as, dir string, avoid ...Spot) (content int64, notices []string, err error) {
	t.Helper()
	fd, err := unix.Open(from, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	notice := func(text string) { notices = append(notices, text) }
	source := Source{Tree: Tree{FD: fd}, Path: from, As: as, Avoid: avoid, Notice: notice}
	target := Target{Tree: Tree{FD: open(t, dir)}, Content: &content}
	err = Through(func(w io.Writer) error { return source.Write(t.Context(), w) }, func(r io.Reader) error { return target.Read(t.Context(), r) })
	return content, notices, err
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func socketAt(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

// What has no content to copy is an error by itself, and left out of a directory.
func TestWhatIsNoFile(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	t.Chdir(dir) // a socket's path is short
	socketAt(t, "s")
	put(t, "f", "12345")
	for from, want := range map[string]error{
		"/dev/null": ErrDevice, "s": ErrDevice, "/proc/version": ErrKernel, "/proc/self": ErrKernel, "/sys/kernel": ErrKernel,
	} {
		if n, _, err := carry(t, from, "x", to); !errors.Is(err, want) || n > 0 {
			t.Errorf("%s: %d, %v", from, n, err)
		}
	}
	n, notices, err := carry(t, ".", "all", to)
	if err != nil || n != 5 || !slices.Equal(notices, []string{"all/s is left out: " + ErrDevice.Error()}) {
		t.Errorf("%d, %q, %v", n, notices, err)
	}
	if list, err := os.ReadDir(to); err != nil || len(list) != 1 {
		t.Errorf("copied: %v, %v", list, err)
	}
	// and nothing takes the place of a device or a socket, or is written for the kernel
	for _, kind := range []byte{tar.TypeReg, tar.TypeSymlink, tar.TypeFifo, tar.TypeLink} {
		entries := []entry{{"f", "", "x", tar.TypeReg}, {"s", "f", "", kind}}
		if err := (Target{Tree: Tree{FD: open(t, dir)}}).Read(t.Context(), stream(t, entries...)); !errors.Is(err, ErrDevice) {
			t.Errorf("kind %c: %v", kind, err)
		}
	}
	if err := (Target{Tree: Tree{FD: open(t, "/proc/self")}}).Read(t.Context(), stream(t, entry{"f", "", "x", tar.TypeReg})); !errors.Is(err, ErrKernel) {
		t.Error(err)
	}
	if st, err := os.Lstat("s"); err != nil || st.Mode()&os.ModeSocket == 0 {
		t.Error(st, err)
	}
}

// A directory that is copied to a place in it has no end, unless that place is left out.
func TestIntoItself(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f"), "12345")
	spot, err := SpotOf(open(t, dir), "copy")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there before
		if n, _, err := carry(t, dir, "copy", dir, spot); err != nil || n != 5 {
			t.Fatal(n, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "copy", "copy")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	spot.Name = ""
	if _, _, err := carry(t, dir, "", dir, spot); !errors.Is(err, ErrItself) {
		t.Error(err)
	}
}

// Attributes of users go along; those that an overlay file system keeps there for itself do not.
func TestAttributes(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	put(t, filepath.Join(from, "d", "f"), "text")
	for _, path := range []string{from, filepath.Join(from, "d"), filepath.Join(from, "d", "f")} {
		for name, value := range map[string]string{"user.origin": "a\x00b", "user.empty": "", "user.overlay.opaque": "y"} {
			if err := unix.Setxattr(path, name, []byte(value), 0); errors.Is(err, unix.ENOTSUP) {
				t.Skip("the file system has no extended attributes")
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chmod(filepath.Join(from, "d", "f"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, notices, err := carry(t, from, "x", to); err != nil || len(notices) > 0 {
		t.Fatal(notices, err)
	}
	for _, name := range []string{"x", "x/d", "x/d/f"} {
		var buf [256]byte
		path := filepath.Join(to, name)
		n, err := unix.Getxattr(path, "user.origin", buf[:])
		if err != nil || string(buf[:n]) != "a\x00b" {
			t.Errorf("%s: %q, %v", name, buf[:max(n, 0)], err)
		}
		n, err = unix.Listxattr(path, buf[:])
		if list := string(buf[:max(n, 0)]); err != nil || strings.Contains(list, "overlay") || !strings.Contains(list, "user.empty") {
			t.Errorf("%s: %q, %v", name, list, err)
		}
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	h := &tar.Header{Name: "y", Typeflag: tar.TypeReg, Mode: 0o600, PAXRecords: map[string]string{xattrRecord + "user.overlay.whiteout": "y", xattrRecord + "user.fine": "y"}}
	if err := errors.Join(w.WriteHeader(h), w.Close(), Target{Tree: Tree{FD: open(t, to)}}.Read(t.Context(), &out)); err != nil {
		t.Fatal(err)
	}
	var buf [256]byte
	if n, err := unix.Listxattr(filepath.Join(to, "y"), buf[:]); err != nil || string(buf[:max(n, 0)]) != "user.fine\x00" {
		t.Errorf("%q, %v", buf[:max(n, 0)], err)
	}
}

// Until a file is whole it has no name, or none that it could be taken for, and the one that was there is untouched.
func TestDrafts(t *testing.T) {
	for name, nameless := range map[string]func(int, string, int, uint32) (int, error){
		"nameless": unix.Openat,
		"named":    func(int, string, int, uint32) (int, error) { return -1, unix.EOPNOTSUPP },
	} {
		openNameless = nameless
		t.Cleanup(func() { openNameless = unix.Openat })
		dir := t.TempDir()
		put(t, filepath.Join(dir, "old"), "old")
		for _, file := range []string{"old", "new"} {
			d, err := newDraft(open(t, dir), file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.WriteString("text"); err != nil {
				t.Fatal(err)
			}
			if raw, err := os.ReadFile(filepath.Join(dir, "old")); file == "old" && (err != nil || string(raw) != "old") {
				t.Errorf("%s: %s meanwhile: %q, %v", name, file, raw, err)
			}
			if err := errors.Join(d.publish(file), d.Close()); err != nil {
				t.Errorf("%s: %s: %v", name, file, err)
			}
			if raw, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(raw) != "text" {
				t.Errorf("%s: %s: %q, %v", name, file, raw, err)
			}
		}
		d, err := newDraft(open(t, dir), "given up")
		if err != nil {
			t.Fatal(err)
		}
		list, err := os.ReadDir(dir)
		if want := map[string]int{"nameless": 2, "named": 3}[name]; err != nil || len(list) != want {
			t.Errorf("%s: while one is written: %v, %v", name, list, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
			t.Errorf("%s: left behind: %v, %v", name, list, err)
		}
	}
}

// What a link leads to is replaced, and not the link.
func TestLinksAtTheEndOfATarget(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a", "file"), "")
	for link, target := range map[string]string{"one": "a/file", "a/two": "../one", "abs": "/a/two", "dir": "a", "dangling": "nothing", "up": "../../../a/file"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	tree := Tree{FD: open(t, dir), Root: true}
	for path, want := range map[string]Place{
		"/one": {There: true, Path: "/a/file"}, "/a/two": {There: true, Path: "/a/../a/file"}, "/abs": {There: true, Path: "/a/../a/file"}, "/dangling": {},
		"/dir": {There: true, Directory: true, Path: "/dir"}, "/a/file": {There: true, Path: "/a/file"}, "/up": {There: true, Path: "/../../../a/file"},
	} {
		if got, err := tree.Look(path, true); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
	}
	at := Place{There: true, Path: "/a/file"}
	if dir, as, err := Want("/one").Into(at, Want("/x"), false); dir != "/a/" || as != "file" || err != nil {
		t.Error(dir, as, err)
	}
}
