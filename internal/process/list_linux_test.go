package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
)

// TestRead: a process with an odd name, as this machine's kernel tells of it.
func TestRead(t *testing.T) {
	program := filepath.Join(t.TempDir(), "a) S 1 (b c")
	if err := os.Symlink(need.Tool(t, "sleep"), program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p, err := read(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if p.PID != cmd.Process.Pid || p.Parent != os.Getpid() || p.Name != filepath.Base(program) || p.UID != os.Getuid() || p.Threads != 1 || p.depth == 0 {
		t.Errorf("%+v", p)
	}
	if up := Uptime(); p.Begun <= 0 || p.Begun > up+time.Second {
		t.Errorf("it began %v after the host, which runs for %v", p.Begun, up)
	}
	list := []Process{p}
	Complete(list)
	if !slices.Equal(list[0].Args, cmd.Args) {
		t.Errorf("arguments %q", list[0].Args)
	}
}

func TestTerminal(t *testing.T) {
	for device, want := range map[int]string{0: "", 34816: "pts/0", 34817: "pts/1", 0x8901: "pts/257", 0x401: "tty1", 0x501: ""} {
		if got := terminal(device); got != want {
			t.Errorf("terminal(%#x) is %q, want %q", device, got, want)
		}
	}
}

// TestBelow: processes of this pid namespace are in none below.
func TestBelow(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	list, err := Below(os.Getpid())
	if err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	all, err := readAll()
	if err != nil {
		t.Fatal(err)
	}
	child := all[cmd.Process.Pid]
	if !comesFrom(all, child, os.Getpid()) || child.Parent != os.Getpid() || child.Inside == 0 || child.UID != os.Getuid() {
		t.Errorf("the child is %+v", child)
	}
	if comesFrom(all, all[os.Getpid()], cmd.Process.Pid) {
		t.Error("this process comes from its child")
	}
	if _, err := Below(1 << 22); err == nil { // greater than any (PID_MAX_LIMIT)
		t.Error("a process that is not there was found")
	}
}

func TestUnder(t *testing.T) {
	list := []Process{{PID: 10, Inside: 1, depth: 2}, {PID: 11, Parent: 10, Inside: 7, depth: 2}, {PID: 12, Parent: 11, Inside: 8, depth: 2}, {PID: 13, Parent: 10, Inside: 9, depth: 2}, {PID: 14, Parent: 13, Inside: 7, depth: 3}}
	got := Under(list, 7)
	if len(got) != 2 || got[0].PID != 11 || got[1].PID != 12 {
		t.Errorf("got %+v", got)
	}
}
