package sys_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

func TestChild(t *testing.T) {
	for _, group := range []bool{false, true} {
		pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setpgid: true}})
		if err != nil {
			t.Fatal(err)
		}
		child := sys.NewChild(pid)
		if err := child.Kill(unix.SIGTERM, group); err != nil {
			t.Fatal(err)
		}
		if status, usage := child.Wait(); !status.Signaled() || status.Signal() != unix.SIGTERM || usage.Maxrss == 0 {
			t.Errorf("status %v, %+v", status, usage)
		}
		if err := child.Kill(unix.SIGTERM, group); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("a signal to a number that is free: %v", err)
		}
	}
}
