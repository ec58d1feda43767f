package inside_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// job is a run that has said "here".
type job struct {
	s   *sailor
	cmd *exec.Cmd
	out *bufio.Scanner
	pid int // of `coracle run` itself
}

// start starts a run whose job says "here" when it has begun.
func (s *sailor) start(args ...string) *job {
	s.t.Helper()
	// The shell says who it is and becomes coracle: what starts it here is systemd-run, or setpriv.
	argv := append([]string{"sh", "-c", `echo $$; exec coracle run -q "$@"`, "sh"}, args...)
	j := &job{s: s, cmd: s.command(argv...)}
	pipe, err := j.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	var said strings.Builder
	j.cmd.Stderr = &said
	if err := j.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if j.pid > 0 {
			_ = syscall.Kill(j.pid, syscall.SIGKILL) // it may have ended
		}
		_ = j.cmd.Process.Kill()
		_ = j.cmd.Wait()
	})
	j.out = bufio.NewScanner(pipe)
	if j.pid, err = strconv.Atoi(j.line()); err != nil {
		s.t.Fatal(err)
	}
	if got := j.line(); got != "here" {
		s.t.Fatalf("%v: the job says %q: %s", s, got, &said)
	}
	return j
}

// line is the next line of the job's output.
func (j *job) line() string {
	j.s.t.Helper()
	j.out.Scan()
	return j.out.Text()
}

// kill kills coracle, and nothing else: what it has started ends by that. A control group that no manager looks after is removed
// by the next command.
func (j *job) kill() {
	j.s.t.Helper()
	if err := syscall.Kill(j.pid, syscall.SIGKILL); err != nil {
		j.s.t.Fatal(err)
	}
	_ = j.cmd.Wait() // killed
	await(j.s.t, j.s.String(), func() error {
		if left := j.s.processes(); len(left) > 0 {
			return fmt.Errorf("after the end of coracle there are %q", left)
		}
		return nil
	})
	j.s.group = ""
	j.s.ok("images")
}

// groups are the control groups of jobs that there are, anywhere.
func groups(t testing.TB) (found []string) {
	t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone while we look
			return nil
		case err != nil:
			return err
		case d.IsDir() && strings.Contains(d.Name(), "coracle"):
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// groupOf is the control group that a process is in, as a directory.
func groupOf(t testing.TB, pid int) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, path, found := strings.Cut(strings.TrimSpace(string(raw)), "0::")
	if !found {
		t.Fatalf("process %d is in %q", pid, raw)
	}
	return filepath.Join("/sys/fs/cgroup", path)
}
