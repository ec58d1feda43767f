package initproc

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// What does not stop is not said to stand still, and is named.
func TestWhatDoesNotStopIsNamed(t *testing.T) {
	self := os.Getpid()
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	const many = 5
	looks := 0
	err = untilStopped(func() ([]int, error) {
		looks++
		moving := make([]int, many)
		for i := range moving {
			moving[i] = self
		}
		return moving, nil
	}, 5*time.Millisecond)
	if !errors.Is(err, errMoving) || !strings.Contains(err.Error(), strconv.Itoa(self)+" ("+strings.TrimSpace(string(comm))+"), ") || !strings.Contains(err.Error(), ", 2 more: ") {
		t.Errorf("after %d looks: %v", looks, err)
	}
	looks = 0
	err = untilStopped(func() ([]int, error) {
		if looks++; looks == 3 {
			return nil, nil
		}
		return []int{self}, nil
	}, time.Hour)
	if err != nil || looks != 3 {
		t.Errorf("after %d looks: %v", looks, err)
	}
	broken := errors.New("broken")
	if err := untilStopped(func() ([]int, error) { return nil, broken }, time.Hour); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// A process moves as long as one of its threads does: sleep stands still when it is stopped, and this test never.
func TestMoves(t *testing.T) {
	cmd := exec.Command(need.Tool(t, "sleep"), "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	if !moves(cmd.Process.Pid) || !moves(os.Getpid()) {
		t.Error("nothing moves")
	}
	if err := cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatal(status, err)
	}
	if moves(cmd.Process.Pid) {
		t.Error("what is stopped moves")
	}
	if depth := depthOf(os.Getpid()); depth < 1 {
		t.Errorf("this process has a number in %d namespaces", depth)
	}
	if moves(0) || depthOf(0) != 0 {
		t.Error("process 0 moves")
	}
}
