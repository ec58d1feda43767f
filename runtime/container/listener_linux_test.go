package container

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
)

func TestListener(t *testing.T) {
	const status = "Name:\tpt main\nState:\tS (sleeping)\nTgid:\t12\nPid:\t12\nPPid:\t7\nNSpid:\t12\t3\nSigIgn:\t0000000000000200\nSigCgt:\t0000000000004202\n"
	for signal, want := range map[unix.Signal]bool{unix.SIGUSR1: true, unix.SIGTERM: true, unix.SIGINT: true, unix.SIGHUP: false, unix.SIGUSR2: false} {
		l := Listener{}
		if got := l.read(status, signal); got != want {
			t.Errorf("%v: %v", signal, got)
		}
		if l.PID != 3 || l.Name != "pt main" || l.parent != 7 {
			t.Errorf("%+v", l)
		}
	}
	outside := "Name:\tfuse\nNSpid:\t5\nSigCgt:\tffffffffffffffff\n"
	if l := (Listener{}); l.read(proc.Status(outside), unix.SIGUSR1) {
		t.Error("a helper of the keeper's was taken for a process of the job")
	}
	if l := (Listener{}); l.read("", unix.SIGUSR1) {
		t.Error("nothing was taken for a process")
	}
}
