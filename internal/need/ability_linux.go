package need

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/host"
)

// NonRoot needs the test to run as an ordinary user, as it does below [Unprivileged].
func NonRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		Missing(t, "nonroot", "the test runs as root")
	}
}

// UserNS needs unprivileged user namespaces: the kernel, its sysctls and its security module let this user make one.
func UserNS(t testing.TB) {
	t.Helper()
	if err := probeUserNS(); err != nil {
		Missing(t, "userns", err.Error())
	}
}

// SubIDs needs subordinate ids of this user's, and the tools that put them to use. It returns their map.
func SubIDs(t testing.TB) host.IDMap {
	t.Helper()
	UserNS(t)
	ids, err := host.SubordinateIDs()
	if err != nil {
		Missing(t, "subid", err.Error())
	}
	return ids
}

// Overlay needs overlay mounts with user extended attributes inside a user namespace (Linux 5.11), on the file system of
// the test's temporary directories.
func Overlay(t testing.TB) {
	t.Helper()
	UserNS(t)
	if err := probeOverlay(t.TempDir()); err != nil {
		Missing(t, "overlay", err.Error())
	}
}

// Tool needs a program on the PATH, or in the directories of system tools that an ordinary user's PATH lacks. It returns
// the program's path. The ability carries the program's name.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := findTool(name)
	if err != nil {
		Missing(t, name, err.Error())
	}
	return path
}

func findTool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, sbinErr := exec.LookPath(filepath.Join(dir, name)); sbinErr == nil {
			return path, nil
		}
	}
	return "", err
}

// probeUserNS runs a program in a new user and mount namespace, once per process.
var probeUserNS = sync.OnceValue(func() error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("making a user namespace: %w", err)
	}
	return nil
})

// probeOverlay mounts one overlay of empty directories below dir, in namespaces that end with the probe.
func probeOverlay(dir string) error {
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "overlay",
		"-o", "userxattr,lowerdir=lower,upperdir=upper,workdir=work", "overlay", "merged")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	// The kernel leaves work/work with mode 0; the test's own clean-up could not enter it.
	err = errors.Join(err, allowRemoval(filepath.Join(dir, "work", "work")))
	if err != nil {
		return fmt.Errorf("mounting an overlay in a user namespace: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func allowRemoval(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
