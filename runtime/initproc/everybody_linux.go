package initproc

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
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
const stopPatience = 8 * time.Second

// errMoving says that somebody lets processes go on that are stopped: from outside of the container, where that cannot be prevented.
var errMoving = errors.New("they do not stop")

// awaitStop waits until nothing of the container runs. What somebody has continued meanwhile is stopped again.
func (a *annex) awaitStop() error {
	stop := func(pid int) { _ = unix.Kill(pid, unix.SIGSTOP) } // it may have ended
	return untilStopped(func() ([]int, error) { return a.each(stop) }, stopPatience)
}

// untilStopped looks again and again, until look finds none that moves.
func untilStopped(look func() (moving []int, err error), patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		moving, err := look()
		if err != nil || len(moving) == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w", named(moving), errMoving)
		}
	}
}

// named says which processes these are, the first of many by name.
func named(pids []int) string {
	const most = 3
	var names []string
	for _, pid := range pids[:min(most, len(pids))] {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // it may have ended
		names = append(names, fmt.Sprintf("%d (%s)", pid, strings.TrimSpace(string(comm))))
	}
	if more := len(pids) - most; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// each goes through the processes of the container, but for its init, and tells which of them move. Helpers of this process,
// which are in none of its namespaces, are continued.
func (a *annex) each(do func(pid int)) (moving []int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || pid == a.pid && !a.keeper.request.NoInit {
			continue
		}
		switch depth := depthOf(pid); {
		case depth > 1:
			do(pid)
			if moves(pid) {
				moving = append(moving, pid)
			}
		case depth == 1:
			_ = unix.Kill(pid, unix.SIGCONT) // it may have ended
		}
	}
	return moving, nil
}

// depthOf is in how many pid namespaces a process has a number, from this one on; 0: it has ended.
func depthOf(pid int) int {
	status, _ := proc.ReadStatus(pid) // empty when it has ended
	return len(status.PIDs())
}

// moves reports whether a thread of a process does: the first one may have ended before the others.
func moves(pid int) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	threads, _ := os.ReadDir(dir) // it may have ended
	return slices.ContainsFunc(threads, func(thread os.DirEntry) bool {
		text, _ := os.ReadFile(dir + thread.Name() + "/status") // likewise
		state := proc.Status(text).State()
		return state == 'R' || state == 'S'
	})
}
