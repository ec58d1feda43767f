package nvidia

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

var update = flag.Bool("update", false, "write the golden specifications anew")

// insideEnv, in the environment of a test binary, says that it may mount.
const insideEnv = "CORACLE_TEST_INSIDE"

func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			_, _ = fmt.Fprintf(io.Writer(os.Stderr), "making mounts private: %v\n", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// inside runs the test that calls it again in namespaces in which it may mount, and reports what came of it. In them it returns true.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		return true
	}
	need.UserNS(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.count=1", fmt.Sprintf("-update=%v", *update))
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("inside: %v\n%s", err, strings.TrimSpace(string(out)))
	}
	return false
}

// charDevices makes nodes of a machine: the null device under other names.
func (m *machine) charDevices(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.file("root/dev/"+name, "")
		if err := unix.Mount("/dev/null", m.path("root/dev/"+name), "", unix.MS_BIND, ""); err != nil {
			m.t.Fatalf("%s: %v", name, err)
		}
	}
	m.t.Cleanup(func() {
		for _, name := range names {
			_ = unix.Unmount(m.path("root/dev/"+name), unix.MNT_DETACH) // the namespace ends
		}
	})
}

// close closes a node of a machine as the device rules of a cgroup do: to whom its mode is open, too. For that it needs a mount
// without devices, or a user who is not root.
func (m *machine) close(name string) {
	m.t.Helper()
	path := m.path("root/dev/" + name)
	if os.Geteuid() != 0 {
		if err := os.Chmod(path, 0); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	for _, err := range []error{
		unix.Mount("/dev/null", path, "", unix.MS_BIND, ""),
		unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_RELATIME, ""),
	} {
		if err != nil {
			m.t.Fatalf("%s: %v", name, err)
		}
	}
	m.t.Cleanup(func() {
		_ = unix.Unmount(path, unix.MNT_DETACH) // the namespace ends
	})
}
