package idmap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
)

// ErrMap marks a namespace whose maps could not be written.
var ErrMap = errors.New("cannot use the subordinate ids")

// GateArg is argv[0] of a process that waits for its maps; argv[1] is the descriptor on which it waits, and the rest is the
// command line as which it then goes on.
const GateArg = "coracle-mapped"

// Gate is where a new process waits.
type Gate struct {
	ids          host.IDMap
	inner, outer *os.File
}

// NewGate changes a command so that it starts in a user namespace of its own and waits there. Close releases what it takes.
func NewGate(cmd *exec.Cmd, ids host.IDMap) (*Gate, error) {
	inner, outer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMap, err)
	}
	const firstExtra = 3 // exec.Cmd.ExtraFiles
	cmd.Args = append([]string{GateArg, strconv.Itoa(firstExtra + len(cmd.ExtraFiles))}, cmd.Args...)
	cmd.ExtraFiles = append(cmd.ExtraFiles, inner)
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
	return &Gate{ids: ids, inner: inner, outer: outer}, nil
}

// Open writes the maps of the process, which has been started, and lets it go on.
func (g *Gate) Open(pid int) error {
	mapped := make(chan error, 1)
	go func() { mapped <- write("newgidmap", pid, g.ids.GIDs) }()
	if err := cmp.Or(write("newuidmap", pid, g.ids.UIDs), <-mapped); err != nil {
		return err
	}
	if _, err := g.outer.Write([]byte{0}); err != nil {
		return fmt.Errorf("%w: the process has ended: %w", ErrMap, err)
	}
	return nil
}

// Close ends a process that still waits.
func (g *Gate) Close() error { return errors.Join(g.inner.Close(), g.outer.Close()) }

// write runs newuidmap or newgidmap. What they complain of is the reason that a person needs.
func write(tool string, pid int, ranges []host.IDRange) error {
	path, err := host.SubIDTool(tool)
	if err != nil {
		return err
	}
	args := []string{strconv.Itoa(pid)}
	for _, r := range ranges {
		for _, n := range []uint32{r.Inside, r.Host, r.Size} {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n"); line != "" {
			return fmt.Errorf("%w: %s", ErrMap, line)
		}
		return fmt.Errorf("%w: %s: %w", ErrMap, tool, err)
	}
	return nil
}

// Pass is the life of a process at a gate. It returns only when it may not pass: the status.
func Pass(args []string) (status int) {
	if len(args) < 3 {
		return 1
	}
	fd, err := strconv.Atoi(args[1])
	if err != nil {
		return 1
	}
	var word [1]byte
	n, err := unix.Read(fd, word[:])
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(fd, word[:])
	}
	if n != 1 || err != nil {
		return 1 // whoever started this is gone, or could not write the maps
	}
	_ = unix.Close(fd)
	_ = syscall.Exec("/proc/self/exe", args[2:], os.Environ())
	return 1
}

// DieWithParent has the kernel end this process with SIGKILL when the thread that started it ends. What is executed with new
// capabilities, as behind a gate, has lost that wish of its parent (prctl(2), PR_SET_PDEATHSIG). A parent that has gone just
// before is noticed by the end of its socket or pipe.
func DieWithParent() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0))
}

// Outlive takes that wish back; it is the thread's that has called DieWithParent, or was started with it. It cannot fail: no signal is
// one that the kernel knows.
func Outlive() { _ = unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0) }
