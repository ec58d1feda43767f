// Package subuid_test runs jobs with GPUs that are several users, on a fake machine that root has made: newuidmap, which gives them their
// ids, has to be root there.
package subuid_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/gpu"
)

func TestMain(m *testing.M) {
	if is, err := gpu.Keep(); is {
		if err != nil {
			fmt.Fprintln(os.Stderr, "setting a machine up:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// place is a directory that everybody may read, with what belongs to the user below home.
func place(t *testing.T, uid, gid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "coracle-gpu-") //nolint:usetesting // a directory of the tests is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"driver", "machine", "bin", "home"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	for _, program := range []string{need.Binary(t), need.GPUHelper(t)} {
		raw, readErr := os.ReadFile(program)
		err = errors.Join(err, readErr, need.WriteProgram(filepath.Join(dir, "bin", filepath.Base(program)), raw))
	}
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.Chown(filepath.Join(dir, "home"), uid, gid)); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	return dir
}

// TestSubordinate: each of a job's users uses the GPUs, and what the driver's hooks write belongs to its root.
func TestSubordinate(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Missing(t, "root", "only root can make a machine on which users have subordinate ids")
	}
	need.Tool(t, "nsenter")
	need.Tool(t, "newuidmap")
	account, err := user.Lookup(need.Ranged)
	if err != nil {
		need.Missing(t, "user", err.Error())
	}
	setup := gpu.Setup{Place: gpu.Usual, GPUs: 1}
	if _, err := fmt.Sscan(account.Uid+" "+account.Gid, &setup.UID, &setup.GID); err != nil {
		t.Fatal(err)
	}
	dir := place(t, setup.UID, setup.GID)
	d, err := gpu.Build(context.Background(), filepath.Join(dir, "driver"))
	if errors.Is(err, gpu.ErrNoCompiler) {
		need.Missing(t, "gcc", err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := gpu.Start(d, filepath.Join(dir, "machine"), setup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	use(t, dir, m, d)
}

func use(t *testing.T, dir string, m *gpu.Machine, d gpu.Driver) {
	t.Helper()
	coracle := func(args ...string) string {
		t.Helper()
		env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "CORACLE_NO_SETTLE=1"}
		out, err := m.Command(filepath.Join(dir, "home"), env, filepath.Join(dir, "bin", "coracle"), args...).CombinedOutput()
		if err != nil {
			t.Errorf("coracle %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	im, err := gpu.Debian(d)
	if errors.Is(err, fs.ErrNotExist) {
		need.Missing(t, "busybox", err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	reg := fixture.Serve(t)
	reg.Push("image:1", im)
	ref := reg.Ref("image:1")
	coracle("pull", "-q", ref)
	for _, flags := range [][]string{nil, {"--user", "1000:1000"}, {"--read-only"}} {
		args := append(append([]string{"run", "-q", "--gpus", "all", "--userns", "subuid"}, flags...), ref, "sh", "-c",
			"copy 1; ldconfig -p | grep -q 'libcuda.so.1 ' && echo cached; stat -c '%u:%g' /etc/ld.so.cache; wc -l </proc/self/uid_map")
		got := strings.Split(coracle(args...), "\n")
		for n, want := range map[int]string{1: "devices 1", 6: "ok", 7: "cached", 8: "0:0", 9: "2"} {
			if len(got) <= n || got[n] != want {
				t.Errorf("%q: line %d is not %q: %q", flags, n, want, got)
			}
		}
	}
}
