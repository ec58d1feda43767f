package hostile_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// launch is one command and what it is denied.
type launch struct {
	Argv []string
	Dir  string
	Env  []string

	Tmpfs    string // a directory to hide under a tmpfs of TmpfsSize ("8m")
	Size     string
	ReadOnly string // a directory to make read-only
	Close    []int  // of standard output (1) and standard error (2)
	Full     bool   // standard output is a full disk
}

// taken is what a command took.
type taken struct {
	Code   int // 128 and more: the signal that ended it
	CPU    time.Duration
	Wall   time.Duration
	Memory int64 // peak resident bytes, of the largest of its processes

	stdout, stderr string
}

// limit ends a command that hangs. It is not what is measured: this machine may be busy.
const limit = 90 * time.Second

// do runs a command to its end, in a small process of its own: the kernel counts what the one that forks holds as the
// child's peak, and these tests hold large archives.
func (l launch) do(t *testing.T) taken {
	t.Helper()
	cmd := self(asLaunch)
	if l.Tmpfs != "" || l.ReadOnly != "" {
		cmd.SysProcAttr = sameUser(0)
	}
	spec, report := pipe(t), pipe(t)
	cmd.ExtraFiles = []*os.File{spec.r, report.w}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	mustDo(t, errors.Join(spec.r.Close(), report.w.Close()))
	watch := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	var out taken
	err := errors.Join(tell(spec.w, l), spec.w.Close(), gob.NewDecoder(report.r).Decode(&out))
	waitErr := cmd.Wait()
	if !watch.Stop() {
		t.Fatalf("%s: no end after %v: %s%s", strings.Join(l.Argv, " "), limit, &stdout, &stderr)
	}
	if err := errors.Join(err, waitErr); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(l.Argv, " "), err, &stderr)
	}
	out.stdout, out.stderr = stdout.String(), stderr.String()
	return out
}

type pipeEnds struct{ r, w *os.File }

func pipe(t *testing.T) pipeEnds {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return pipeEnds{r, w}
}

// launchChild is the small process.
func launchChild() error {
	runtime.LockOSThread() // its capabilities are dropped by thread, and children have those of the thread that forks
	var l launch
	if err := gob.NewDecoder(os.NewFile(3, "spec")).Decode(&l); err != nil {
		return err
	}
	report := os.NewFile(4, "report")
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	if err := l.restrict(); err != nil {
		return err
	}
	cmd := exec.Command(l.Argv[0], l.Argv[1:]...)
	cmd.Dir, cmd.Env = l.Dir, l.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if len(l.Close) > 0 || l.Full {
		// os/exec gives a child /dev/null for what is nil; a shell can close it.
		cmd = exec.Command("/bin/sh", append([]string{"-c", `exec "$@" ` + closing(l.Close, l.Full), "sh"}, l.Argv...)...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = l.Dir, l.Env, os.Stdout, os.Stderr
	}
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("no resource usage")
	}
	out := taken{
		Code: cmd.ProcessState.ExitCode(), Wall: time.Since(start), Memory: usage.Maxrss << 10,
		CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		out.Code = 128 + int(status.Signal())
	}
	return tell(report, out)
}

// closing is what a shell does to a command's descriptors.
func closing(fds []int, full bool) (text string) {
	if full {
		text = ">/dev/full"
	}
	for _, fd := range fds {
		text += fmt.Sprintf(" %d>&-", fd)
	}
	return text
}

func (l launch) restrict() error {
	if l.Tmpfs != "" {
		if err := unix.Mount("tmpfs", l.Tmpfs, "tmpfs", 0, "mode=0700,size="+l.Size); err != nil {
			return fmt.Errorf("mounting a tmpfs: %w", err)
		}
	}
	if l.ReadOnly != "" {
		if err := unix.Mount(l.ReadOnly, l.ReadOnly, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding: %w", err)
		}
		if err := unix.Mount("", l.ReadOnly, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("making read-only: %w", err)
		}
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}
