package proc_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/sys"
)

// TestKernel: what this machine's kernel says of a thread that calls itself something odd.
func TestKernel(t *testing.T) {
	runtime.LockOSThread() // and the thread ends with the test
	for name, line := range map[string]string{"a) S 1 (b": "a) S 1 (b", "two words": "two words", "a\nPid:\t1": `a\nPid:` + "\t1", `a\b`: `a\\b`, ")": ")"} {
		if err := os.WriteFile("/proc/thread-self/comm", []byte(name), 0); err != nil {
			t.Fatal(err)
		}
		stat, err := proc.ReadStat(unix.Gettid())
		if err != nil || stat.PID != unix.Gettid() || stat.Parent != os.Getppid() || stat.Ended() || stat.Start == 0 || stat.RSS == 0 || stat.EnvStart == 0 {
			t.Errorf("%q: %+v, %v", name, stat, err)
		}
		status, err := proc.ReadStatus(unix.Gettid())
		if err != nil || status.Number("Pid") != unix.Gettid() || status.Number("Uid") != os.Getuid() || len(status.PIDs()) == 0 {
			t.Errorf("%q: %q, %v", name, status, err)
		}
		if stat.Name != name || status.Field("Name") != line {
			t.Errorf("%q is %q and %q", name, stat.Name, status.Field("Name"))
		}
	}
}

func TestNobody(t *testing.T) {
	const nobody = 1 << 22 // greater than any (PID_MAX_LIMIT)
	if _, err := proc.ReadStat(nobody); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := proc.ReadStatus(nobody); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	// One that ends after its directory was opened.
	child := startShell(t, "read go")
	dir, err := sys.OpenDir("/proc/" + strconv.Itoa(child.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(dir)
	if stat, err := proc.StatAt(dir, "."); err != nil || stat.PID != child.Process.Pid || stat.Parent != os.Getpid() {
		t.Errorf("%+v, %v", stat, err)
	}
	if _, err := child.in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // its status is read's
	if _, err := proc.StatAt(dir, "."); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := proc.StatusAt(dir, "."); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestLongStatus: a user in thousands of groups has a status whose later lines are far behind.
func TestLongStatus(t *testing.T) {
	dir := t.TempDir()
	for pid, inside := range map[int]string{7: "7", 8: "8\t1", 9: "9\t31\t1"} {
		status := fmt.Sprintf("Name:\tx\nPid:\t%d\nGroups:\t%s\nNSpid:\t%s\nThreads:\t1\n", pid, strings.Repeat("4294967294 ", 5000), inside)
		file := filepath.Join(dir, strconv.Itoa(pid), "status")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(status), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := sys.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(fd)
	if pid, err := proc.FindInit(fd, 1); pid != 8 || err != nil {
		t.Errorf("found %d, %v", pid, err)
	}
	if pid, err := proc.FindInit(fd, 31); pid != 0 || err != nil {
		t.Errorf("found %d, %v", pid, err)
	}
	pids, err := proc.Processes(fd)
	slices.Sort(pids)
	if err != nil || !slices.Equal(pids, []int{7, 8, 9}) {
		t.Errorf("%v, %v", pids, err)
	}
	text, err := proc.ReadAt(fd, "8/status", 2000)
	if err != nil || len(text) != 2000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, err := proc.StatAt(fd, "10"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
