package initproc

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// everybody stops every process of the container, or lets them go on: those of the job and those beside it. What is no part of it goes
// on: helpers of this process, and the container's init, which passes signals on.
func (a *annex) everybody(signal unix.Signal) error {
	if signal == unix.SIGCONT {
		_, err := a.each(func(pid int) { _ = unix.Kill(pid, unix.SIGCONT) }) // it may have ended
		return err
	}
	// With -1 the kernel does it at one stroke, in this pid namespace and those below it, this process aside: one that is just being
	// forked is reached, too (copy_process in kernel/fork.c begins again).
	if err := unix.Kill(-1, signal); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	if !a.keeper.request.NoInit {
		if err := goOn(a.pid); err != nil && !errors.Is(err, unix.ESRCH) {
			return os.NewSyscallError("rt_sigqueueinfo", err)
		}
	}
	return a.awaitStop()
}

// forInitAlone says to init that a signal is not to be passed on (FOR_INIT_ALONE in init.h).
const forInitAlone = 0x4f574e45

// goOn continues init, which would take a plain SIGCONT for the job's.
func goOn(pid int) error {
	info := struct { // siginfo_t, for what sigqueue(3) sends
		signal, errno, code, _ int32
		pid, uid               int32
		value                  int64
		_                      [96]byte
	}{signal: int32(unix.SIGCONT), code: -1 /* SI_QUEUE */, pid: int32(os.Getpid()), uid: int32(os.Getuid()), value: forInitAlone}
	_, _, errno := unix.RawSyscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(unix.SIGCONT), uintptr(unsafe.Pointer(&info)))
	if errno != 0 {
		return errno
	}
	return nil
}

// stopPatience is how long processes may take to stop: on a busy machine they have to be given a processor for that. Who waits for a
// disk stops before it does anything else.
const stopPatience = 2 * time.Second

// awaitStop waits until nothing of the container runs.
func (a *annex) awaitStop() error {
	for end := time.Now().Add(stopPatience); ; time.Sleep(time.Millisecond) {
		moving, err := a.each(func(int) {})
		if err != nil || !moving || time.Now().After(end) {
			return err
		}
	}
}

// each goes through the processes of the container, but for its init, and reports whether one of them moves. Helpers of this process,
// which are in none of its namespaces, are continued.
func (a *annex) each(do func(pid int)) (moving bool, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || pid == a.pid && !a.keeper.request.NoInit {
			continue
		}
		switch depth, state := standing(pid); {
		case depth > 1:
			do(pid)
			moving = moving || state == 'R' || state == 'S'
		case depth == 1:
			_ = unix.Kill(pid, unix.SIGCONT) // it may have ended
		}
	}
	return moving, nil
}

// standing is in how many pid namespaces a process has a number, from this one on, and its state (proc_pid_status(5)); 0: it has ended.
func standing(pid int) (depth int, state byte) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case name == "NSpid":
			depth = len(fields)
		case name == "State" && len(fields) > 0:
			state = fields[0][0]
		}
	}
	return depth, state
}
