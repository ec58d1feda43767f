package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lacking has a command and all that comes of it run as on a kernel that lacks system calls: a real filter (seccomp(2)) makes them
// fail with an error number, ENOSYS as a kernel has it or EPERM as the filters of some containers do.
type lacking struct {
	Calls   map[uintptr]syscall.Errno
	Overlay syscall.Errno // of a mount(2) without flags, which only overlays are mounted with
}

// lackingEnv makes this test's own program the one that loads such a filter and becomes the command in its arguments.
const lackingEnv = "CORACLE_TEST_LACKING"

// without is the error ENOSYS for each of some system calls.
func without(calls ...uintptr) lacking {
	return failing(unix.ENOSYS, calls...)
}

// failing is an error for each of some system calls.
func failing(errno syscall.Errno, calls ...uintptr) lacking {
	l := lacking{Calls: map[uintptr]syscall.Errno{}}
	for _, nr := range calls {
		l.Calls[nr] = errno
	}
	return l
}

// command is a command of the box on such a kernel.
func (l lacking) command(b *box, args ...string) *job {
	b.t.Helper()
	j := &job{Cmd: b.command(args...)}
	l.wrap(b.t, j.Cmd)
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	return j
}

// wrap has a command run on such a kernel.
func (l lacking) wrap(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	rules, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args[0] = cmd.Path
	cmd.Args = append([]string{self}, cmd.Args...)
	cmd.Path = self
	cmd.Env = append(cmd.Env, lackingEnv+"="+string(rules))
}

// obey loads the filter and becomes the command; it returns only when that fails.
func obey(rules string) error {
	var l lacking
	if err := json.Unmarshal([]byte(rules), &l); err != nil {
		return err
	}
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, lackingEnv+"=") {
			env = append(env, v)
		}
	}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	filter := l.filter()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return syscall.Exec(os.Args[1], os.Args[1:], env)
}

// filter is the program for the kernel: struct seccomp_data begins with the number and the architecture of a call.
func (l lacking) filter() []unix.SockFilter {
	const numberAt, argumentsAt, argument, mountFlags = 0, 16, 8, 3 // on a little-endian machine a low half comes first
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: numberAt}}
	for nr, errno := range l.Calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		)
	}
	if l.Overlay != 0 {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_MOUNT, Jf: 3},
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: argumentsAt + mountFlags*argument},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(l.Overlay)},
		)
	}
	return append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}
