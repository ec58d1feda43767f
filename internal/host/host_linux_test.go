package host

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func me(t *testing.T) Owner {
	t.Helper()
	o, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheLivingAreNotDead(t *testing.T) {
	if o := me(t); o.Dead() {
		t.Errorf("%+v is called dead while it asks", o)
	}
}

func TestDeadOnlyWhenProven(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Owner)
		dead   bool
	}{
		{"another boot", func(o *Owner) { o.BootID = "00000000-0000-0000-0000-000000000000" }, true},
		{"its pid was given to another", func(o *Owner) { o.StartTime++ }, true},
		{"no such process", func(o *Owner) { o.PID = 1 << 22 }, true},
		{"another host", func(o *Owner) { o.Host = "elsewhere"; o.BootID = "x" }, false},
		{"the host was renamed, and it has ended", func(o *Owner) { o.Host = "before"; o.StartTime++ }, true},
		{"the host was renamed, and it lives", func(o *Owner) { o.Host = "before" }, false},
		{"another boot of a host without a name", func(o *Owner) { o.Host = ""; o.BootID = "x" }, false},
		{"another container", func(o *Owner) { o.PIDSpace = "pid:[1]"; o.PID = 1 << 22 }, false},
		{"nothing is known", func(o *Owner) { *o = Owner{} }, false},
		{"no boot is known", func(o *Owner) { o.BootID = "" }, false},
	} {
		o := me(t)
		c.change(&o)
		if got := o.Dead(); got != c.dead {
			t.Errorf("%s: dead %v", c.name, got)
		}
	}
}

func TestAZombieIsDead(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := me(t)
	o.PID = cmd.Process.Pid
	start, err := startTime(o.PID)
	if err != nil {
		t.Fatal(err)
	}
	o.StartTime = start
	if o.Dead() {
		t.Error("a sleeping process is called dead")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for !o.Dead() { // not reaped yet: it stays a zombie until Wait
	}
	_ = cmd.Wait()
	if !o.Dead() {
		t.Error("a process that is gone is not dead")
	}
}

func TestParseStat(t *testing.T) {
	line := "12 (evil) R 1) (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 424242 20"
	start, state, err := parseStat([]byte(line))
	if err != nil || start != 424242 || state != 'S' {
		t.Errorf("%d %c %v", start, state, err)
	}
	for _, bad := range []string{"", "12 (x", "12 (x) S 1 2", "12 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 many"} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was parsed", bad)
		}
	}
}

func TestNoSuchProcess(t *testing.T) {
	if _, err := startTime(1 << 22); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestNamespaceProblems(t *testing.T) {
	for _, c := range []struct {
		name, file, value string
		root              bool
		setting           string
	}{
		{"all is well", "user/max_user_namespaces", "65536", false, ""},
		{"none for anybody", "user/max_user_namespaces", "0", true, "user.max_user_namespaces"},
		{"Debian's switch", "kernel/unprivileged_userns_clone", "0", false, "kernel.unprivileged_userns_clone"},
		{"Debian's switch does not bind root", "kernel/unprivileged_userns_clone", "0", true, ""},
		{"Ubuntu's AppArmor", "kernel/apparmor_restrict_unprivileged_userns", "1", false, "kernel.apparmor_restrict_unprivileged_userns"},
		{"none of mounts", "user/max_mnt_namespaces", "0", true, "user.max_mnt_namespaces"},
		{"none of processes", "user/max_pid_namespaces", "0", false, "user.max_pid_namespaces"},
		{"AppArmor off", "kernel/apparmor_restrict_unprivileged_userns", "0", false, ""},
	} {
		root := t.TempDir()
		path := filepath.Join(root, c.file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(c.value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := namespaceProblem(root, c.root)
		if problem := (*NamespaceError)(nil); errors.As(err, &problem) {
			if problem.Setting != c.setting || !strings.Contains(problem.Hint(), c.setting) {
				t.Errorf("%s: %v (%s)", c.name, err, problem.Hint())
			}
		} else if c.setting != "" {
			t.Errorf("%s: no problem found", c.name)
		}
	}
}

func TestFacts(t *testing.T) {
	f, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	if f.Hostname == "" || f.Kernel == "" || f.CPUs < 1 || f.MemoryBytes < 1<<20 || !f.KernelAtLeast(3, 0) || f.KernelAtLeast(99, 0) {
		t.Errorf("%+v", f)
	}
	if got := FilesystemType("/proc"); got != "proc" {
		t.Errorf("/proc is %q", got)
	}
	if got := FilesystemType(filepath.Join(t.TempDir(), "missing")); got != "" {
		t.Errorf("a missing path is on %q", got)
	}
	if Username() == "" {
		t.Error("nobody runs this")
	}
}

func TestOSName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(path, []byte("ID=x\nPRETTY_NAME=\"Xenia 7 (blue)\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := osName(path); got != "Xenia 7 (blue)" {
		t.Errorf("%q", got)
	}
	if got := osName(path + "missing"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestSignalOwner(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	child := me(t)
	child.PID, child.StartTime = cmd.Process.Pid, start
	other := child
	other.StartTime++
	if err := other.Signal(unix.SIGKILL); err != nil {
		t.Errorf("one that had the number before: %v", err)
	}
	elsewhere := child
	elsewhere.BootID = "another"
	if err := elsewhere.Signal(unix.SIGKILL); !errors.Is(err, ErrElsewhere) {
		t.Errorf("elsewhere: %v", err)
	}
	if err := child.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // how it ended the next line tells
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGTERM {
		t.Errorf("the process: %v", cmd.ProcessState)
	}
	if err := child.Signal(unix.SIGTERM); err != nil {
		t.Errorf("one that has ended: %v", err)
	}
	if err := child.Await(t.Context()); err != nil {
		t.Error(err)
	}
}
