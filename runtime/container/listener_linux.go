package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/sys"
)

// Listener is a process of the container that has a handler for some signal.
type Listener struct {
	PID  int // in the container
	Name string

	dir     int    // of /proc
	parent  int    // its parent's number there
	program string // command line
}

// Listeners are the processes with a handler for a signal, the copies that they have made of themselves left out: a data loader's
// workers have inherited the handler of the trainer whose children they are, and what it saves is not theirs to save. Each is held
// by a descriptor until it is closed.
func (b *Container) Listeners(signal unix.Signal) (list []Listener, err error) {
	view, err := b.View()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	fd, err := view.Processes()
	if err != nil {
		return nil, err
	}
	processes := os.NewFile(uintptr(fd), "proc")
	defer processes.Close()
	pids, err := b.processes(fd)
	if err != nil {
		return nil, fmt.Errorf("listing the container's processes: %w", err)
	}
	found := map[int]Listener{} // by their numbers in that /proc
	for _, pid := range pids {
		if l, ok := listener(fd, pid, signal); ok {
			found[pid] = l
		}
	}
	for _, l := range found {
		if parent, ok := found[l.parent]; ok && parent.program == l.program {
			defer l.Close()
			continue
		}
		list = append(list, l)
	}
	return list, nil
}

// processes are those that a /proc shows, and of a shared container those of the job.
func (b *Container) processes(dir int) (pids []int, err error) {
	if b.shared == nil {
		return proc.Processes(dir)
	}
	first, err := proc.FindInit(dir, b.Init())
	if err != nil || first == 0 {
		return nil, err
	}
	family := proc.Family{Proc: dir, First: first}
	return family.Members()
}

// longestProgram is how much of a command line is looked at: a job has chosen them.
const longestProgram = 64 << 10

// listener opens a process of a /proc that has a handler for a signal; one that ends meanwhile has none.
func listener(processes, pid int, signal unix.Signal) (Listener, bool) {
	dir, err := sys.OpenBeneath(processes, strconv.Itoa(pid), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return Listener{}, false
	}
	l := Listener{dir: dir}
	status, err := proc.StatusAt(dir, ".")
	if err == nil && l.read(status, signal) {
		cmdline, _ := proc.ReadAt(dir, "cmdline", longestProgram) // what cannot be read is no copy's
		l.program = string(cmdline)
		return l, true
	}
	_ = l.Close()
	return Listener{}, false
}

// read takes what is wanted from a status. Processes outside of the container's pid namespace, the keeper's helpers, are not meant.
func (l *Listener) read(status proc.Status, signal unix.Signal) bool {
	l.Name, l.parent = status.Field("Name"), status.Number("PPid")
	pids := status.PIDs()
	if len(pids) > 0 {
		l.PID = pids[len(pids)-1]
	}
	return len(pids) > 1 && status.Mask("SigCgt")&(1<<(uint(signal)-1)) != 0
}

// Signal sends the process a signal. The error wraps fs.ErrNotExist when it has ended.
func (l Listener) Signal(signal unix.Signal) error {
	err := unix.PidfdSendSignal(l.dir, signal, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return fs.ErrNotExist
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// Close lets go of the process.
func (l Listener) Close() error { return sys.Close(l.dir) }
