package limits_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/runtime/cgroup"
)

// cause is what a record says of why its run ended.
type cause struct {
	Cause, Message, Advice, Signal string
	ExitCode                       int `json:"exit_code"`
	Evidence                       struct {
		OOMKills          int                   `json:"oom_kills"`
		OOMKillsEnclosing int                   `json:"oom_kills_enclosing"`
		MemoryLimit       int64                 `json:"memory_limit_bytes"`
		EnclosingLimit    int64                 `json:"enclosing_memory_limit_bytes"`
		EnclosingGroup    string                `json:"enclosing_group"`
		Victims           []string              `json:"oom_victims"`
		Largest           struct{ Name string } `json:"largest_process"`
	}
}

func parseCause(t *testing.T, shown string) (c cause) {
	t.Helper()
	if err := json.Unmarshal([]byte(shown), &c); err != nil {
		t.Fatalf("%v: %s", err, shown)
	}
	return c
}

// take has a shell hold some MiB.
func take(mib int) string {
	return fmt.Sprintf(`x=$(head -c $((%d << 20)) /dev/zero | tr '\0' a)`, mib)
}

// TestOutOfMemory: a job that reaches its own limit is said to have, and one that is killed otherwise is not.
func TestOutOfMemory(t *testing.T) {
	b := newBox(t, cgroup.Limits{MemoryBytes: 200 << 20})
	why := func() cause { t.Helper(); return parseCause(t, b.do("runs", "show", "last", "--json").stdout) }

	r := b.run(take(300), "--memory", "200m", "--exit-code", "oom=85")
	c := why()
	if r.code != 85 || c.Cause != "oom" || c.ExitCode != 85 || c.Signal != "SIGKILL" || !strings.Contains(c.Advice, "--memory 250m") || !strings.Contains(r.stderr, "ut of memory") {
		t.Errorf("at once: status %d, %q, %+v", r.code, r.stderr, c)
	}
	if certain := !strings.Contains(c.Message, "robably"); certain != (c.Evidence.OOMKills > 0) || c.Evidence.MemoryLimit != 200<<20 {
		t.Errorf("%+v", c)
	}

	going := t.TempDir()
	j := b.start(b.command("run", "-q", "--require-limits", "--memory", "200m", "-v", going+":/going:ro", b.ref, "sh", "-c", whenMeasured+take(300)))
	b.goOn(going, func() string { return b.do("stats", "--json", "last").stdout })
	r = b.wait(j)
	if c := why(); r.code != 137 || c.Cause != "oom" || !strings.Contains(c.Message, "200MiB") || c.Evidence.Largest.Name != "sh" {
		t.Errorf("later: status %d, %+v", r.code, c)
	}

	if readable(t, "/dev/kmsg") {
		if c := why(); len(c.Evidence.Victims) == 0 || c.Evidence.Victims[0] != "sh" || !strings.Contains(c.Message, "; killed: sh") {
			t.Errorf("who: %+v", c)
		}
	}

	r = b.run("("+take(300)+"); exit 3", "--memory", "200m") // where groups are killed as a whole, the job itself is, too
	if c := why(); c.Cause != "oom" || r.code != 3 && r.code != 137 || r.code == 3 && !strings.Contains(c.Message, "probably therefore the job then ended with status 3") {
		t.Errorf("a child: status %d, %+v", r.code, c)
	}

	r = b.run("kill -9 $$", "--memory", "200m")
	if c := why(); r.code != 137 || c.Cause != "signalled" || strings.Contains(c.Message, "emory") {
		t.Errorf("not memory: status %d, %+v", r.code, c)
	}
	r = b.run("exit 137", "--memory", "200m")
	if c := why(); r.code != 137 || c.Cause != "exited" {
		t.Errorf("not even a signal: status %d, %+v", r.code, c)
	}
}

// whenMeasured has a shell wait for the word to go on, which it finds in /going.
const whenMeasured = "while ! test -e /going/on; do sleep 0.1; done; "

// goOn gives that word when stats tells what the newest run uses.
func (b *box) goOn(dir string, stats func() string) {
	b.t.Helper()
	said := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		var list []struct {
			Memory *float64 `json:"memory_bytes"`
		}
		said = stats()
		if err := json.Unmarshal([]byte(said), &list); err == nil && len(list) == 1 && list[0].Memory != nil {
			if err := os.WriteFile(filepath.Join(dir, "on"), nil, 0o644); err != nil {
				b.t.Fatal(err)
			}
			return
		}
	}
	b.t.Fatalf("the job is not measured: %s", said)
}

// readable reports whether a device can be read at all.
func readable(t *testing.T, path string) bool {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}

// TestOutOfMemoryOfAnother: a job has a limit, and one around it is reached first.
func TestOutOfMemoryOfAnother(t *testing.T) {
	b := newBox(t, cgroup.Limits{MemoryBytes: 400 << 20})
	group := around(t, 160<<20)
	cmd := b.command("run", "-q", "--memory", "400m", b.ref, "sh", "-c", take(300))
	cmd.Args = append([]string{"sh", "-c", "echo 0 >" + group + "/cgroup.procs; exec \"$@\"", "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 137 {
		t.Fatalf("%v: %s", err, out)
	}
	c := parseCause(t, b.do("runs", "show", "last", "--json").stdout)
	if c.Cause != "oom" || !strings.Contains(c.Message, "The limit of the enclosing control group "+filepath.Base(group)+", 160MiB, was met") || c.Evidence.OOMKills == 0 || strings.Contains(c.Advice, "--memory") {
		t.Errorf("%+v", c)
	}
}

// TestOutOfMemoryAround: an ordinary user's job in a control group that somebody else has limited.
func TestOutOfMemoryAround(t *testing.T) {
	b := newBox(t, cgroup.Limits{MemoryBytes: 200 << 20})
	setpriv := need.Tool(t, "setpriv")
	group := around(t, 160<<20)
	const nobody = 65534
	dir, going := t.TempDir(), t.TempDir()
	program, err := os.ReadFile(b.coracle)
	if err == nil {
		err = need.WriteProgram(filepath.Join(dir, "coracle"), program)
	}
	if err = errors.Join(err, os.Chown(dir, nobody, nobody), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	start := func(where string, args ...string) *running {
		t.Helper()
		enter := fmt.Sprintf("%sexec %s --reuid %d --regid %d --clear-groups \"$@\"", where, setpriv, nobody, nobody)
		cmd := exec.Command("sh", append([]string{"-c", enter, "sh", filepath.Join(dir, "coracle")}, args...)...)
		cmd.Env = append(os.Environ(), "CORACLE_ROOT="+filepath.Join(dir, "store"), "CORACLE_NO_SETTLE=1", "HOME="+dir, "XDG_RUNTIME_DIR=")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return b.start(cmd)
	}
	run := func(args ...string) result { t.Helper(); return b.wait(start("", args...)) }
	if r := run("pull", "-q", b.ref); r.stderr != "" {
		t.Fatal(r.stderr)
	}
	j := start("echo 0 >"+group+"/cgroup.procs; ", "run", "-q", "-v", going+":/going:ro", b.ref, "sh", "-c", whenMeasured+take(400))
	b.goOn(going, func() string { return run("stats", "--json", "last").stdout })
	stderr := b.wait(j).stderr
	c := parseCause(t, run("runs", "show", "last", "--json").stdout)
	if c.Cause != "oom" || c.ExitCode != 137 || !strings.HasPrefix(c.Message, "Probably killed for want of memory: the limit of the enclosing control group "+filepath.Base(group)+", 160MiB, was met") || c.Evidence.EnclosingGroup != "/memory/"+filepath.Base(group) && c.Evidence.EnclosingGroup != "/"+filepath.Base(group) || c.Evidence.OOMKillsEnclosing == 0 {
		t.Errorf("%+v, %s", c, stderr)
	}
	t.Log(c.Message)
}

// around makes a group of a memory limit in which an ordinary user's command can be started.
func around(t *testing.T, bytes int) string {
	t.Helper()
	parent, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		parent, file = "/sys/fs/cgroup", "memory.max"
	}
	dir := filepath.Join(parent, "around-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		need.Missing(t, "cgroups", err.Error())
	}
	t.Cleanup(func() {
		err := unix.Rmdir(dir)
		for until := time.Now().Add(time.Minute); errors.Is(err, unix.EBUSY) && time.Now().Before(until); err = unix.Rmdir(dir) {
			time.Sleep(10 * time.Millisecond) // what runs on after a command, to write its record to the disk, is in there
		}
		if err != nil {
			t.Errorf("removing %s: %v", dir, err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.Itoa(bytes)), 0); err != nil {
		need.Missing(t, "cgroups", err.Error())
	}
	return dir
}
