package need

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// tunEnv names a device file that root has made for the tests of an ordinary user.
const tunEnv = "CORACLE_TEST_TUN"

const hostTun = "/dev/net/tun"

// Tun needs a device for tap interfaces that this user may open, and returns its path: that of the host, or one to be mounted in
// its place, where the host's is closed.
func Tun(t testing.TB) string {
	t.Helper()
	var errs []error
	for _, path := range []string{hostTun, os.Getenv(tunEnv)} {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd) // nothing was written
			return path
		}
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	Missing(t, "tun", errors.Join(errs...).Error())
	return ""
}

// LendTun opens the host's device to the tests of an ordinary user that root's process is about to start: by a device file of its own,
// mounted in a mount namespace that only this thread and those tests are in. It is called first thing in TestMain, and does nothing for
// who is not root, or may not. What it returns takes the file away.
func LendTun() (end func()) {
	end = func() {}
	var st unix.Stat_t
	if os.Geteuid() != 0 || unix.Stat(hostTun, &st) != nil || st.Mode&0o006 == 0o006 {
		return end
	}
	dir, err := os.MkdirTemp("", "coracle-tun-")
	if err != nil {
		return end
	}
	end = func() { _ = os.RemoveAll(dir) }
	path := filepath.Join(dir, "tun")
	if unix.Mknod(path, unix.S_IFCHR|0o666, int(st.Rdev)) != nil || os.Chmod(path, 0o666) != nil {
		return end
	}
	runtime.LockOSThread() // and stay: what is started from here is in the namespace, too
	if unix.Unshare(unix.CLONE_NEWNS) == nil && unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "") == nil {
		_ = unix.Mount(path, hostTun, "", unix.MS_BIND, "") // else Tun says what is missing
	}
	return end
}

// HostTun is Tun for who cannot mount another one in place of the host's.
func HostTun(t testing.TB) {
	t.Helper()
	if path := Tun(t); path != hostTun {
		Missing(t, "tun", hostTun+" is closed to you")
	}
}

// makeTun makes the device of Tun. Where root may not, the tests do without.
func (s stage) makeTun() error {
	var st unix.Stat_t
	if err := unix.Stat(hostTun, &st); err != nil {
		return nil //nolint:nilerr // a host without has none to copy
	}
	path := s.path("tun")
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(st.Rdev)); err != nil {
		return nil //nolint:nilerr // root of a container
	}
	return os.Chmod(path, 0o666)
}
