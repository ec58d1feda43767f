package sys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWalkIsOpenat2: whatever openat2 says of a path, the walk says too.
func TestWalkIsOpenat2(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/b/c", "outside"} {
		if err := os.MkdirAll(filepath.Join(dir, "root", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"file": "", "a/file": "", "../canary": "", "link": "a/b", "abs": "/a/b", "up": "../../../a/b", "out": "../../canary", "loop": "loop",
		"dangling": "nowhere", "a/b/back": "../../a/file", "chain": "link/back", "slash": "a//./b/", "tofile": "/file", "top": "/", "proc": "/proc/self/exe",
	} {
		path := filepath.Join(dir, "root", name)
		var err error
		if target == "" {
			err = os.WriteFile(path, []byte(name), 0o600)
		} else {
			err = os.Symlink(target, path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	paths := []string{"", ".", "/", "//", "..", "../canary", "file", "file/", "file/x", "/file", "a", "a/", "a/b/c", "a/./b", "a//b", "a/../file", "a/b/../../../canary",
		"link", "link/", "link/c", "link/..", "link/../file", "abs", "abs/c", "up", "up/c", "out", "loop", "loop/x", "dangling", "dangling/x", "chain", "slash", "slash/c",
		"tofile", "tofile/", "top", "top/file", "proc", "none", "none/x", "a/none", strings.Repeat("a/../", 60) + "file", strings.Repeat("x", 256)}
	root, err := OpenDir(filepath.Join(dir, "root"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = Close(root) }()
	for _, flags := range []uint64{unix.O_PATH, unix.O_RDONLY, unix.O_PATH | unix.O_NOFOLLOW, unix.O_RDONLY | unix.O_DIRECTORY, unix.O_RDONLY | unix.O_NOFOLLOW} {
		for _, resolve := range []uint64{unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS, unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS, beneath} {
			for _, path := range paths {
				same(t, root, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve})
			}
		}
	}
}

const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// TestWalkStaysOnItsMount: what is mounted below is refused where that was asked for.
func TestWalkStaysOnItsMount(t *testing.T) {
	root, err := OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = Close(root) }()
	for _, path := range []string{"proc", "proc/self", "proc/..", "etc"} {
		for _, resolve := range []uint64{beneath, unix.RESOLVE_IN_ROOT} {
			same(t, root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve})
		}
	}
}

// same holds that both ways come to the same file or the same error. A directory that should be one and is not may be called
// ELOOP or ENOTDIR when it is a link.
func same(t *testing.T, root int, path string, how *unix.OpenHow) {
	t.Helper()
	before := openFiles(t)
	fd, want := unix.Openat2(root, path, how)
	for errors.Is(want, unix.EAGAIN) { // somebody renames something (openat2(2))
		fd, want = unix.Openat2(root, path, how)
	}
	if errors.Is(want, unix.ENOSYS) || errors.Is(want, unix.EPERM) {
		t.Skipf("there is no openat2 here to compare with: %v", want)
	}
	walked, err := walkat2(root, path, how)
	either := errors.Is(want, unix.ELOOP) && errors.Is(err, unix.ENOTDIR) || errors.Is(want, unix.ENOTDIR) && errors.Is(err, unix.ELOOP)
	if !errors.Is(err, want) && !either {
		t.Errorf("%q, flags %#x, resolve %#x: %v, openat2 says %v", path, how.Flags, how.Resolve, err, want)
	}
	if want == nil && err == nil {
		var a, b unix.Stat_t
		if err := errors.Join(unix.Fstat(fd, &a), unix.Fstat(walked, &b)); err != nil || a.Ino != b.Ino || a.Dev != b.Dev {
			t.Errorf("%q, flags %#x, resolve %#x: inode %d, openat2 has %d (%v)", path, how.Flags, how.Resolve, b.Ino, a.Ino, err)
		}
	}
	for _, fd := range []int{fd, walked} {
		if fd >= 0 {
			_ = Close(fd)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%q: %d descriptors are left open", path, after-before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
