package sys_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// tree is an open directory with a file, a link to it, a link outside, and a file outside.
func tree(t *testing.T) (fd int, path string) {
	t.Helper()
	base := t.TempDir()
	path = filepath.Join(base, "root")
	for _, dir := range []string{path, filepath.Join(path, "dir")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{filepath.Join(base, "outside"): "outside", filepath.Join(path, "dir/file"): "inside"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"in": "dir", "up": "../outside", "abs": "/outside", "loop": "loop", "magic": "/proc/self/cwd"} {
		if err := os.Symlink(to, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := sys.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sys.Close(fd) })
	return fd, path
}

func TestOpenBeneath(t *testing.T) {
	fd, _ := tree(t)
	for path, want := range map[string]error{
		"dir/file": nil, "dir": nil, ".": nil, "none": fs.ErrNotExist, "in/file": unix.ELOOP, "in": unix.ELOOP, "up": unix.ELOOP, "loop": unix.ELOOP,
		"..": unix.EXDEV, "dir/../../outside": unix.EXDEV, "/etc/passwd": unix.EXDEV, "dir/file/x": unix.ENOTDIR,
	} {
		got, err := sys.OpenBeneath(fd, path, unix.O_RDONLY, 0)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if err == nil {
			_ = sys.Close(got)
		}
		var named *fs.PathError
		if want != nil && (!errors.As(err, &named) || named.Path != path) {
			t.Errorf("%s: the error %v does not name it", path, err)
		}
	}
}

func TestOpenInRoot(t *testing.T) {
	fd, _ := tree(t)
	for path, want := range map[string]error{
		"in/file": nil, "/dir/file": nil, "../../dir/file": nil, "up": fs.ErrNotExist, "abs": fs.ErrNotExist, "loop": unix.ELOOP, "magic": fs.ErrNotExist,
	} {
		got, err := sys.OpenInRoot(fd, path, unix.O_RDONLY, 0)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if err == nil {
			_ = sys.Close(got)
		}
	}
}

func TestCreateAtTakesNoName(t *testing.T) {
	fd, path := tree(t)
	for _, name := range []string{"dir", "in", "up", "loop"} {
		if _, err := sys.CreateAt(fd, name, 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v, want ErrExist", name, err)
		}
	}
	f, err := sys.CreateAt(fd, "new", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1e9, 5)
	if err := errors.Join(sys.Write(f, "new", []byte("content")), sys.Chmod(f, "new", 0o640), sys.SetMtime(f, "new", when), sys.Close(f)); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(path, "new"))
	if err != nil || st.Mode().Perm() != 0o640 || !st.ModTime().Equal(when) || st.Size() != 7 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	fd, path := tree(t)
	if err := sys.LinkAt(fd, "up", fd, "copy"); err != nil {
		t.Fatal(err)
	}
	if to, err := sys.ReadlinkAt(fd, "copy"); err != nil || to != "../outside" {
		t.Errorf("%q, %v", to, err)
	}
	if err := sys.SetMtimeAt(fd, "up", time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(path, "../outside")); err != nil || st.ModTime().Unix() == 1e9 {
		t.Errorf("the time was set through a link: %v, %v", st, err)
	}
	if st, err := sys.StatAt(fd, "in"); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := sys.OpenDirAt(fd, "in"); !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) {
		t.Errorf("OpenDirAt through a link: %v", err)
	}
	if err := errors.Join(sys.UnlinkAt(fd, "up"), sys.SymlinkAt("x", fd, "y"), sys.MkdirAt(fd, "d", 0o700), sys.RmdirAt(fd, "d"), sys.MkfifoAt(fd, "p", 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "../outside")); err != nil {
		t.Error(err)
	}
}

func TestWhiteout(t *testing.T) {
	fd, _ := tree(t)
	if err := sys.WhiteoutAt(fd, "gone"); err != nil {
		t.Fatal(err)
	}
	if st, err := sys.StatAt(fd, "gone"); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := sys.SetXattr(fd, ".", "user.overlay.opaque", []byte("y")); err != nil {
		t.Error(err)
	}
	if err := sys.Syncfs(fd, "."); err != nil {
		t.Error(err)
	}
}

func TestTimesOutOfRange(t *testing.T) {
	fd, path := tree(t)
	for _, when := range []time.Time{time.Unix(1<<62, 0), time.Unix(-1<<62, 999), time.Unix(-1, 0)} {
		if err := sys.SetMtimeAt(fd, "dir", when); err != nil {
			t.Errorf("%v: %v", when.Unix(), err)
		}
	}
	if st, err := os.Stat(filepath.Join(path, "dir")); err != nil || st.ModTime().Unix() != -1 {
		t.Errorf("%v, %v", st.ModTime(), err)
	}
}

func TestRetry(t *testing.T) {
	n := 0
	err := sys.Retry(func() error {
		if n++; n < 3 {
			return unix.EINTR
		}
		return unix.EIO
	})
	if n != 3 || !errors.Is(err, unix.EIO) {
		t.Errorf("%d calls, %v", n, err)
	}
}

func TestUmaskIsReadAndNotChanged(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	if got := sys.Umask(); got != 0o027 {
		t.Errorf("Umask() = %04o, want 0027", got)
	}
	if now := syscall.Umask(0o027); now != 0o027 {
		t.Errorf("the umask is now %04o", now)
	}
}

func TestIn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("f's")
	err = sys.In(dir, func() error {
		if _, err := os.Stat("x"); err != nil {
			t.Error(err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("%v, want f's error", err)
	}
	if err := sys.In(filepath.Join(dir, "none"), func() error { t.Error("called"); return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if now, err := os.Getwd(); err != nil || now != here {
		t.Errorf("in %s, want %s: %v", now, here, err)
	}
}
