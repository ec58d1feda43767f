package proc_test

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/sys"
)

// TestFamily: a process and what has come of it, also what was born since the last look, and nobody else.
func TestFamily(t *testing.T) {
	dir, err := sys.OpenDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(dir)
	parent := startShell(t, "sleep 100 & read go; sleep 101 & wait")
	stranger := startShell(t, "sleep 102 & wait")
	f := proc.Family{Proc: dir, First: parent.Process.Pid}
	for round, want := range []int{2, 3} {
		var members []int
		for end := time.Now().Add(time.Minute); len(members) < want && time.Now().Before(end); {
			if members, err = f.Members(); err != nil {
				t.Fatal(err)
			}
		}
		if len(members) != want || !slices.Contains(members, parent.Process.Pid) || slices.Contains(members, stranger.Process.Pid) {
			t.Fatalf("round %d: %v of %d", round, members, parent.Process.Pid)
		}
		for _, pid := range members {
			line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			if err != nil || strings.Contains(string(line), "102") {
				t.Errorf("%d: %q, %v", pid, line, err)
			}
		}
		if round == 0 {
			if _, err := parent.in.Write([]byte("\n")); err != nil {
				t.Fatal(err)
			}
		}
	}
	gone := proc.Family{Proc: dir, First: 1 << 30}
	if members, err := gone.Members(); err != nil || len(members) != 0 {
		t.Errorf("of nobody: %v, %v", members, err)
	}
}

type shell struct {
	*exec.Cmd
	in interface{ Write([]byte) (int, error) }
}

// startShell runs a script in a process group that ends with the test.
func startShell(t *testing.T, script string) shell {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return shell{cmd, in}
}
