package process

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "4242 (a (b) c) S 17 4242 4242 34817 4242 4194304 1 2 3 4 250 150 6 7 20 0 3 0 12345 2322432 412 18446744073709551615 1"
	p, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	want := Process{
		Parent: 17, State: "S", TTY: "pts/1", Name: "a (b) c", CPU: 4 * time.Second, Begun: 123450 * time.Millisecond, Threads: 3,
		VSZ: 2322432, RSS: 412 * int64(os.Getpagesize()),
	}
	if p.Parent != want.Parent || p.State != want.State || p.TTY != want.TTY || p.Name != want.Name || p.CPU != want.CPU || p.Begun != want.Begun || p.Threads != want.Threads || p.VSZ != want.VSZ || p.RSS != want.RSS {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
	for _, bad := range []string{"", "1 (a", "1 (a) S 1 2", "1 (a) S x 4242 4242 34817 4242 4194304 1 2 3 4 250 150 6 7 20 0 3 0 12345 2322432 412 1"} {
		if p, err := parseStat(bad); err == nil {
			t.Errorf("%q is %+v", bad, p)
		}
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
