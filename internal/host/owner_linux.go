package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Owner names one process of one boot of one host, so that another process can tell, later and without a lock, whether
// state that it finds still belongs to somebody. Process ids are reused; a pid together with its start time and the boot
// id is not.
type Owner struct {
	Host      string `json:"host"`
	BootID    string `json:"boot_id"`
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks after boot, field 22 of /proc/PID/stat (proc_pid_stat(5))
	PIDSpace  string `json:"pid_space"`  // the pid namespace in which PID counts, as /proc/PID/ns/pid names it
}

// Self is the calling process as an Owner. It is read once: a start asks several times.
func Self() (Owner, error) { return self() }

var self = sync.OnceValues(readSelf)

// Child is a child of the calling process as an Owner.
func Child(pid int) (Owner, error) {
	o, err := Self()
	if err != nil {
		return Owner{}, err
	}
	o.PID = pid
	o.StartTime, err = startTime(pid)
	return o, err
}

func readSelf() (Owner, error) {
	name, err := os.Hostname()
	if err != nil {
		return Owner{}, fmt.Errorf("reading the host's name: %w", err)
	}
	boot, err := BootID()
	if err != nil {
		return Owner{}, err
	}
	start, err := startTime(os.Getpid())
	if err != nil {
		return Owner{}, err
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return Owner{}, fmt.Errorf("reading the pid namespace: %w", err)
	}
	return Owner{Host: name, BootID: boot, PID: os.Getpid(), StartTime: start, PIDSpace: space}, nil
}

// BootID is the kernel's random id of this boot.
func BootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// Dead reports whether the owner is provably gone: a process of this boot that is no longer there, or one of another boot
// of this host. An owner on another host, in another container of this one, or one that cannot be examined, is never
// called dead. The boot id decides first: a host can be renamed while it runs, and then it is still this one.
func (o Owner) Dead() bool {
	self, err := Self()
	if err != nil || o.BootID == "" {
		return false
	}
	if o.BootID != self.BootID {
		return o.Host != "" && o.Host == self.Host
	}
	if o.PIDSpace != self.PIDSpace {
		return false
	}
	start, err := startTime(o.PID)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return err == nil && start != o.StartTime
}

// startTime is the start time of a process in clock ticks after boot. A zombie counts as gone: it holds nothing and will
// do nothing. The error is fs.ErrNotExist when there is no such process.
func startTime(pid int) (uint64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, unix.ESRCH) { // it ended between open and read
		err = fs.ErrNotExist
	}
	if err != nil {
		return 0, fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	start, state, err := parseStat(raw)
	if err != nil {
		return 0, fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	if state == 'Z' || state == 'X' {
		return 0, fmt.Errorf("process %d has ended: %w", pid, fs.ErrNotExist)
	}
	return start, nil
}

// parseStat takes start time and state out of a line of /proc/PID/stat. The command's name in field 2 may hold spaces and
// parentheses, so fields are counted from the last closing one.
func parseStat(raw []byte) (start uint64, state byte, err error) {
	end := bytes.LastIndexByte(raw, ')')
	if end < 0 {
		return 0, 0, errors.New("malformed stat line: no command")
	}
	fields := bytes.Fields(raw[end+1:])
	const stateField, startField = 0, 19 // fields 3 and 22 of the whole line
	if len(fields) <= startField {
		return 0, 0, fmt.Errorf("malformed stat line: %d fields after the command", len(fields))
	}
	start, err = strconv.ParseUint(string(fields[startField]), 10, 64)
	return start, fields[stateField][0], err
}
