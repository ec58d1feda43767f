package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
		{"another boot", func(o *Owner) { o.BootID = "00000000-0000-0000-0000-000000000000" }, me(t).Machine != "" || me(t).PIDSpace == firstPIDSpace},
		{"its pid was given to another", func(o *Owner) { o.StartTime += 2 }, true},
		{"its clock was read in a time namespace, and rounded", func(o *Owner) { o.StartTime++ }, false},
		{"no such process", func(o *Owner) { o.PID = 1 << 22 }, true},
		{"another host", func(o *Owner) { o.Host = "elsewhere"; o.BootID = "x" }, false},
		{"the host was renamed, and it has ended", func(o *Owner) { o.Host = "before"; o.StartTime += 2 }, true},
		{"the host was renamed, and it lives", func(o *Owner) { o.Host = "before" }, false},
		{"another boot of a host without a name", func(o *Owner) { o.Host = ""; o.BootID = "x" }, false},
		{"another host of this name", func(o *Owner) { o.Machine = "0123456789abcdef"; o.BootID = "x" }, false},
		{"another host of this name, of which no more is known", func(o *Owner) { o.Machine = ""; o.BootID = "x" }, me(t).Machine == "" && me(t).PIDSpace == firstPIDSpace},
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

func TestOneHostOrAnother(t *testing.T) {
	const a, b = "0123456789abcdef", "fedcba9876543210"
	const first, own = firstPIDSpace, "pid:[4026532000]"
	for _, c := range []struct {
		name        string
		owner, self Owner
		same        bool
	}{
		{"restarted", Owner{Host: "n1", Machine: a, PIDSpace: first}, Owner{Host: "n1", Machine: a, PIDSpace: first}, true},
		{"restarted, and its root is in memory", Owner{Host: "n1", PIDSpace: first}, Owner{Host: "n1", PIDSpace: first}, true},
		{"two nodes of one image", Owner{Host: "n1", Machine: a, PIDSpace: first}, Owner{Host: "n2", Machine: a, PIDSpace: first}, false},
		{"two boards of one name", Owner{Host: "ubuntu", Machine: a, PIDSpace: first}, Owner{Host: "ubuntu", Machine: b, PIDSpace: first}, false},
		{"of one is known more than of the other", Owner{Host: "n1", PIDSpace: first}, Owner{Host: "n1", Machine: b, PIDSpace: first}, false},
		{"the other way round", Owner{Host: "n1", Machine: a, PIDSpace: first}, Owner{Host: "n1", PIDSpace: first}, false},
		{"two containers of one name", Owner{Host: "trainer-0", PIDSpace: own}, Owner{Host: "trainer-0", PIDSpace: own}, false},
		{"a host and a container of its name", Owner{Host: "n1", PIDSpace: first}, Owner{Host: "n1", PIDSpace: own}, false},
		{"a container that has the machine's id", Owner{Host: "n1", Machine: a, PIDSpace: own}, Owner{Host: "n1", Machine: a, PIDSpace: own}, true},
		{"no name", Owner{Machine: a, PIDSpace: first}, Owner{Machine: a, PIDSpace: first}, false},
	} {
		if got := c.owner.sameHost(c.self); got != c.same {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	const id = "0123456789abcdef0123456789abcdef"
	var ids []string
	for name, text := range map[string]string{"one": id + "\n", "again": id + "\n", "first boot": "uninitialized\n", "none": "", "short": "0123\n", "no id": strings.ToUpper(id)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := machine(path); strings.HasPrefix(text, id) {
			ids = append(ids, got)
		} else if got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if ids[0] != ids[1] || strings.Contains(id, ids[0]) != (ids[0] == "") {
		t.Errorf("%q", ids)
	}
	if lasting := !slices.Contains([]string{"tmpfs", "ramfs", "overlay"}, FilesystemType(dir)); lasting != (ids[0] != "") {
		t.Errorf("on %s it is %q", FilesystemType(dir), ids[0])
	}
	if got := machine(filepath.Join(dir, "missing")); got != "" {
		t.Errorf("without a file it is %q", got)
	}
}

func TestTimeNamespaceOffsets(t *testing.T) {
	got, err := parseOffsets([]byte("monotonic         -7         0\nboottime       -86400 250000000\n"))
	if err != nil || got != -86400*100+25 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "monotonic 1 2\n", "boottime x 0\n", "boottime 1\n"} {
		if _, err := parseOffsets([]byte(bad)); err == nil {
			t.Errorf("%q was parsed", bad)
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
	other.StartTime += 2
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

// TestAwaitIsWokenByNothing: whoever waits sleeps until the process ends, or nobody wants to know any more, and is not woken to look.
func TestAwaitIsWokenByNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(cancel func(), cmd *exec.Cmd)
	}{
		{"it ends", func(_ func(), cmd *exec.Cmd) { _ = cmd.Process.Kill() }},
		{"nobody wants to know", func(cancel func(), _ *exec.Cmd) { cancel() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("sleep", "1000")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
			child, err := Child(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			over := make(chan error, 1)
			go func() { over <- child.Await(ctx) }()
			for !sleepsWithoutLimit(t) {
				select {
				case err := <-over:
					t.Fatalf("it did not wait: %v", err)
				default:
				}
			}
			c.end(cancel, cmd)
			if err := <-over; err != nil {
				t.Error(err)
			}
		})
	}
}

// sleepsWithoutLimit reports whether a thread of this process is in a ppoll(2) without a time limit, its third argument.
func sleepsWithoutLimit(t *testing.T) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/syscall")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		fields := strings.Fields(string(text))
		if err == nil && len(fields) > 3 && fields[0] == strconv.Itoa(unix.SYS_PPOLL) && fields[3] == "0x0" {
			return true
		}
	}
	return false
}
