package fsx_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
)

// TestSettleOutlivesPowerCut writes files to an ext4, has it forget all that is not on its disk (EXT4_IOC_SHUTDOWN), and looks what is
// left: what was settled, and to show that the cut is one, not the rest.
func TestSettleOutlivesPowerCut(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Missing(t, "root", "mounts a file system")
	}
	keepMounts(t)
	disk, at := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(need.Tool(t, "mkfs.ext4"), "-q", "-F", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	mount(t, disk, at)
	for _, dir := range []string{"settled", "left"} {
		path := filepath.Join(at, dir)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := fsx.SyncDir(at); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"run.json", "result.json"} {
			if err := fsx.WriteFile(filepath.Join(path, name), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if dir == "settled" {
			settle(t, path)
		}
	}
	cutPower(t, at)
	mount(t, disk, at)
	for _, name := range []string{"run.json", "result.json"} {
		if text, err := os.ReadFile(filepath.Join(at, "settled", name)); err != nil || string(text) != "{}" {
			t.Errorf("settled: %s is %q, %v", name, text, err)
		}
		if text, err := os.ReadFile(filepath.Join(at, "left", name)); err == nil && len(text) > 0 {
			t.Errorf("the cut was none: %s is %q", name, text)
		}
	}
	unmount(t, at)
}

// keepMounts gives the test's thread mounts of its own. A mount namespace that another test makes meanwhile would have a copy of the
// file system's mount, and with that the file system would outlive its cut.
func keepMounts(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // which ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

func settle(t *testing.T, path string) {
	t.Helper()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fsx.Settle(dir), dir.Close()); err != nil {
		t.Fatal(err)
	}
}

func mount(t *testing.T, disk, at string) {
	t.Helper()
	if out, err := exec.Command(need.Tool(t, "mount"), "-o", "loop", disk, at).CombinedOutput(); err != nil {
		need.Missing(t, "loop devices", string(out))
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) }) // a test that failed has left it there
}

func unmount(t *testing.T, at string) {
	t.Helper()
	if out, err := exec.Command(need.Tool(t, "umount"), at).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// cutPower takes the file system away from below its mount, with everything in its journal that is not on disk.
func cutPower(t *testing.T, at string) {
	t.Helper()
	const shutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH (fs/ext4/ext4.h)
	root, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.IoctlSetPointerInt(int(root.Fd()), shutdown, noLogFlush), root.Close()); err != nil {
		t.Fatal(err)
	}
	unmount(t, at)
}
