package container

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

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
	proc := os.NewFile(uintptr(fd), "proc")
	defer proc.Close()
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
func (b *Container) processes(proc int) (pids []int, err error) {
	if b.shared == nil {
		return sys.Processes(proc)
	}
	first, err := sys.FindInit(proc, b.Init())
	if err != nil || first == 0 {
		return nil, err
	}
	family := sys.Family{Proc: proc, First: first}
	return family.Members()
}

// listener opens a process of a /proc that has a handler for a signal; one that ends meanwhile has none.
func listener(proc, pid int, signal unix.Signal) (Listener, bool) {
	dir, err := sys.OpenBeneath(proc, strconv.Itoa(pid), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return Listener{}, false
	}
	l := Listener{dir: dir}
	status, err := readBeneath(dir, "status")
	if err == nil && l.parse(status, signal) {
		cmdline, _ := readBeneath(dir, "cmdline") // what cannot be read is no copy's
		l.program = string(cmdline)
		return l, true
	}
	_ = l.Close()
	return Listener{}, false
}

// parse reads /proc/PID/status (proc(5)). Processes outside of the container's pid namespace, the keeper's helpers, are not meant.
func (l *Listener) parse(status []byte, signal unix.Signal) bool {
	var caught uint64
	inside := false
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch name {
		case "Name":
			l.Name = strings.TrimSpace(value)
		case "PPid":
			l.parent, _ = strconv.Atoi(fields[0]) // a number
		case "NSpid":
			l.PID, _ = strconv.Atoi(fields[len(fields)-1])
			inside = len(fields) > 1
		case "SigCgt":
			caught, _ = strconv.ParseUint(fields[0], 16, 64)
		}
	}
	return inside && caught&(1<<(uint(signal)-1)) != 0
}

func readBeneath(dir int, name string) ([]byte, error) {
	fd, err := sys.OpenBeneath(dir, name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(io.LimitReader(file, 64<<10))
	return text.Bytes(), err
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
