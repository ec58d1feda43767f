package sys

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Spared runs something in whose time processes are started that a batch system's signals to all processes of a job are not to end: they
// keep these signals blocked, which execve(2) leaves as it is, and which programs that set handlers of their own, as pasta does, do not
// see to. What is to end them is SIGKILL. Signals by which the kernel tells a program of its own faults and children are not blocked,
// nor those that the C library has for itself.
func Spared(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	blocked, before := batchSignals(), unix.Sigset_t{}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before); err != nil {
		return fmt.Errorf("blocking signals: %w", err)
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }() // as it was
	return start()
}

// batchSignals are those that would end a process, and that somebody may send.
func batchSignals() (set unix.Sigset_t) {
	const bits, firstRealTime, last = 64, 34, 64
	add := func(sig int) { set.Val[(sig-1)/bits] |= 1 << ((sig - 1) % bits) }
	for _, sig := range []unix.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTERM, unix.SIGSTKFLT, unix.SIGXCPU,
		unix.SIGVTALRM, unix.SIGPROF, unix.SIGIO, unix.SIGPWR,
	} {
		add(int(sig))
	}
	for sig := firstRealTime; sig <= last; sig++ {
		add(sig)
	}
	return set
}
