package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Docker's rules (docs.docker.com, docker container cp).
func TestInto(t *testing.T) {
	nothing, file, dir := Place{}, Place{There: true}, Place{There: true, Directory: true}
	for _, c := range []struct {
		source    string
		directory bool
		target    string
		at        Place
		dir, as   string
		err       error
	}{
		{"/a/file", false, "/t/new", nothing, "/t", "new", nil},
		{"/a/file", false, "/t/new/", nothing, "", "", syscall.ENOENT},
		{"/a/file", false, "/t/old", file, "/t", "old", nil},
		{"/a/file", false, "/t/old/", file, "", "", syscall.ENOTDIR},
		{"/a/file", false, "/t", dir, "/t", "file", nil},
		{"/a/dir", true, "/t/new", nothing, "/t", "new", nil},
		{"/a/dir/", true, "/t/new/", nothing, "/t", "new", nil},
		{"/a/dir", true, "/t/old", file, "", "", syscall.ENOTDIR},
		{"/a/dir", true, "/t", dir, "/t", "dir", nil},
		{"/a/dir/", true, "/t/", dir, "/t", "dir", nil},
		{"/a/dir/.", true, "/t", dir, "/t", "", nil},
		{"/a/dir/.", true, "/t/new", nothing, "/t", "new", nil},
		{".", true, "/t", dir, "/t", "", nil},
		{"/", true, "/t", dir, "/t", "", nil},
		{"/a/file", false, "/", dir, "/", "file", nil},
	} {
		gotDir, as, err := Want(c.target).Into(c.at, Want(c.source), c.directory)
		if gotDir != c.dir || as != c.as || !errors.Is(err, c.err) {
			t.Errorf("%s to %s: %q %q %v", c.source, c.target, gotDir, as, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		text string
		at   Place
		err  error
	}{
		{"/a", Place{}, syscall.ENOENT}, {"/a", Place{There: true}, nil}, {"/a/", Place{There: true}, syscall.ENOTDIR}, {"/a/.", Place{There: true, Directory: true}, nil},
	} {
		if err := Want(c.text).Check(c.at); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// entry is one of a stream.
type entry struct {
	name, link, content string
	kind                byte
}

func stream(t *testing.T, entries ...entry) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: 0o755, Size: int64(len(e.content)), ModTime: time.Unix(1e9, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func open(t *testing.T, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// No stream leads out of where it is unpacked: on the host by no link at all, in a container by none that leaves its root.
func TestStreamsStayInside(t *testing.T) {
	above := t.TempDir()
	canary := filepath.Join(above, "canary")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, entries := range map[string][]entry{
		"up":                  {{"../canary/x", "", "x", tar.TypeReg}},
		"up within":           {{"a/../../canary/x", "", "x", tar.TypeReg}},
		"through a link":      {{"l", canary, "", tar.TypeSymlink}, {"l/x", "", "x", tar.TypeReg}},
		"through a way up":    {{"l", "../canary", "", tar.TypeSymlink}, {"l/x", "", "x", tar.TypeReg}},
		"a directory's place": {{"l", canary, "", tar.TypeSymlink}, {"l", "", "", tar.TypeDir}, {"l/x", "", "x", tar.TypeReg}},
		"a file's place":      {{"l", canary + "/file", "", tar.TypeSymlink}, {"l", "", "x", tar.TypeReg}},
		"another name":        {{"l", "../canary/file", "", tar.TypeLink}, {"l", "", "x", tar.TypeReg}},
		"another name by one": {{"d", canary, "", tar.TypeSymlink}, {"l", "d/file", "", tar.TypeLink}, {"l", "", "x", tar.TypeReg}},
		"from the root":       {{canary + "/x", "", "x", tar.TypeReg}},
		"a device":            {{"dev", "", "", tar.TypeChar}},
	} {
		for _, root := range []bool{false, true} {
			write(filepath.Join(canary, "file"), "canary")
			dir := filepath.Join(above, fmt.Sprint("to ", name, root))
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			err := Target{Tree: Tree{FD: open(t, dir), Root: root}, Dir: map[bool]string{true: "/"}[root]}.Read(t.Context(), stream(t, entries...))
			list, listErr := os.ReadDir(canary)
			raw, readErr := os.ReadFile(filepath.Join(canary, "file"))
			if listErr != nil || readErr != nil || len(list) != 1 || string(raw) != "canary" {
				t.Errorf("%s, root %v: the canary: %v %q", name, root, list, raw)
			}
			if strings.HasPrefix(name, "up") || name == "a device" {
				if !errors.Is(err, ErrStream) {
					t.Errorf("%s, root %v: %v", name, root, err)
				}
			}
		}
	}
}

func TestThereAndBack(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	script := map[string]os.FileMode{"a": 0o640, "d/b": 0o4711, "d/e/c": 0o400}
	for name, mode := range script {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Chmod(path, uint32(mode)); err != nil {
			t.Fatal(err)
		}
	}
	when := time.Unix(981173106, 123456789)
	for _, err := range []error{
		os.Symlink("nowhere", filepath.Join(from, "l")), os.Link(filepath.Join(from, "a"), filepath.Join(from, "z")), unix.Mkfifo(filepath.Join(from, "p"), 0o600),
		os.WriteFile(filepath.Join(from, "holes"), nil, 0o600), os.Truncate(filepath.Join(from, "holes"), 10<<20),
		os.Chtimes(filepath.Join(from, "d", "e"), when, when), os.Chmod(filepath.Join(from, "d", "e"), 0o500),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, dir := range []string{from, filepath.Join(to, "x")} {
			_ = os.Chmod(filepath.Join(dir, "d", "e"), 0o700)
		}
	})
	notices := 0
	source := Source{Tree: Tree{FD: open(t, from)}, Path: from, As: "x", Notice: func(string) { notices++ }}
	target := Target{Tree: Tree{FD: open(t, to)}}
	err := Through(func(w io.Writer) error { return source.Write(t.Context(), w) }, func(r io.Reader) error { return target.Read(t.Context(), r) })
	if err != nil || notices > 0 {
		t.Fatal(err, notices)
	}
	for name, mode := range script {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(to, "x", name), &st); err != nil || st.Mode&0o7777 != uint32(mode) {
			t.Errorf("%s: mode %o, %v", name, st.Mode, err)
		}
	}
	var holes, a, e, p unix.Stat_t
	for name, st := range map[string]*unix.Stat_t{"holes": &holes, "a": &a, "d/e": &e, "p": &p} {
		if err := unix.Lstat(filepath.Join(to, "x", name), st); err != nil {
			t.Fatal(err)
		}
	}
	if holes.Size != 10<<20 || holes.Blocks > 100 || a.Nlink != 2 || e.Mode&0o7777 != 0o500 || time.Unix(e.Mtim.Unix()) != when || p.Mode&unix.S_IFMT != unix.S_IFIFO {
		t.Errorf("holes %d in %d blocks, a %d names, e %o %v, p %o", holes.Size, holes.Blocks, a.Nlink, e.Mode, time.Unix(e.Mtim.Unix()), p.Mode)
	}
	if link, err := os.Readlink(filepath.Join(to, "x", "l")); err != nil || link != "nowhere" {
		t.Error(link, err)
	}
}

func TestWhoFailsFirstIsTold(t *testing.T) {
	bad, worse := errors.New("bad"), errors.New("worse")
	for _, c := range []struct {
		source func(io.Writer) error
		target func(io.Reader) error
		want   error
	}{
		{func(io.Writer) error { return bad }, func(r io.Reader) error { _, err := io.ReadAll(r); return err }, bad},
		{func(w io.Writer) error { _, err := w.Write(make([]byte, 10)); return err }, func(io.Reader) error { return worse }, worse},
		{func(w io.Writer) error { _, err := w.Write(make([]byte, 10)); return err }, func(io.Reader) error { return nil }, nil},
		{func(io.Writer) error { return nil }, func(io.Reader) error { return worse }, worse},
	} {
		if err := Through(c.source, c.target); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(bad)
	if err := (Source{Tree: Tree{FD: open(t, t.TempDir())}, As: "x"}).Write(ctx, io.Discard); !errors.Is(err, bad) {
		t.Error(err)
	}
}

// Who gives up a copy in the middle of a file that is all holes does not wait for its end, and has no part of it.
func TestAHugeFileIsGivenUp(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	path := filepath.Join(from, "huge")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 8<<40)); err != nil {
		t.Skip("the file system has no such file: ", err)
	}
	enough := errors.New("enough")
	for _, side := range []string{"source", "target"} {
		ctx, stop := context.WithCancelCause(t.Context())
		ctxs := map[string]context.Context{"source": t.Context(), "target": t.Context()}
		ctxs[side] = ctx
		err := Through(func(w io.Writer) error {
			return Source{Tree: Tree{FD: open(t, from)}, Path: from, As: "x", Notice: func(string) {}}.Write(ctxs["source"], w)
		}, func(r io.Reader) error {
			return Target{Tree: Tree{FD: open(t, to)}}.Read(ctxs["target"], &counted{r, 1 << 20, func() { stop(enough) }})
		})
		if !errors.Is(err, enough) {
			t.Errorf("%s: %v", side, err)
		}
		if list, err := os.ReadDir(filepath.Join(to, "x")); err != nil || len(list) > 0 {
			t.Errorf("%s: left behind: %v, %v", side, list, err)
		}
	}
}

// counted does something when so many bytes have been read.
type counted struct {
	io.Reader
	left int
	then func()
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.left -= n; c.left < 0 {
		c.then()
	}
	return n, err
}
