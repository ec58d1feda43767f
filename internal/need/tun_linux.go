package need

import (
	"errors"
	"fmt"
	"os"
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
