package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// Owner names one process of one boot of one host, so that another process can tell, later and without a lock, whether
// state that it finds still belongs to somebody. Process ids are reused; a pid together with its start time and the boot
// id is not.
type Owner struct {
	Host      string `json:"host"`
	Machine   string `json:"machine,omitempty"` // what tells two hosts of one name apart, see machine
	BootID    string `json:"boot_id"`
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks after boot, see startTime
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
	if err := checkProc(); err != nil {
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
	return Owner{Host: name, Machine: machine(machineFile), BootID: boot, PID: os.Getpid(), StartTime: start, PIDSpace: space}, nil
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
		return o.sameHost(self)
	}
	if o.PIDSpace != self.PIDSpace {
		return false
	}
	start, err := startTime(o.PID)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return err == nil && !sameTick(start, o.StartTime)
}

// firstPIDSpace is the pid namespace that a kernel boots with: the kernel's PROC_PID_INIT_INO.
const firstPIDSpace = "pid:[4026531836]"

// sameHost reports whether two owners of different boots are of one host for certain. Hosts that share a directory can have one name: two
// boards whose maker calls each "ubuntu", or containers, which are called what their makers like. So the machine has to be the same, too;
// where it is not known, the name of a host alone has to do, but not that of a container.
func (o Owner) sameHost(self Owner) bool {
	if o.Host == "" || o.Host != self.Host || o.Machine != self.Machine {
		return false
	}
	return o.Machine != "" || o.PIDSpace == firstPIDSpace && self.PIDSpace == firstPIDSpace
}
