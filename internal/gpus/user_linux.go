package gpus

import (
	"slices"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/runtime/gpu"
)

// Run is a run that is going on, with the devices that it has.
type Run struct {
	ID    string
	Name  string
	Owner host.Owner // its supervisor
	UUIDs []string
}

// User is who uses a device: one of the caller's runs, a process of one, or another process.
type User struct {
	Run         string `json:"run,omitempty"` // its id
	RunName     string `json:"run_name,omitempty"`
	PID         int    `json:"pid,omitempty"` // absent of a run that has the device and computes nothing on it
	Process     string `json:"process,omitempty"`
	MemoryBytes uint64 `json:"memory_bytes,omitempty"`
}

// users finds out whose a process is.
type users struct {
	runs   []Run
	parent func(pid int) int // 0: not known
	name   func(pid int) string
	here   func(host.Owner) bool // its pids are those of this process's /proc
}

func newUsers(runs []Run) users {
	return users{runs, parentOf, nameOf, func(o host.Owner) bool { return o.Here() == nil && !o.Dead() }}
}

// of are the users of a device: the runs that have it first.
func (u users) of(uuid string, processes []gpu.Process) []User {
	list := []User{}
	for _, p := range processes {
		user := User{PID: p.PID, MemoryBytes: p.MemoryBytes, Process: u.name(p.PID)}
		if r := u.runOf(p.PID); r != nil {
			user.Run, user.RunName = r.ID, r.Name
		}
		list = append(list, user)
	}
	for _, r := range u.runs {
		known := slices.ContainsFunc(list, func(user User) bool { return user.Run == r.ID })
		if !known && uuid != "" && slices.Contains(r.UUIDs, uuid) {
			list = append(list, User{Run: r.ID, RunName: r.Name})
		}
	}
	slices.SortStableFunc(list, func(a, b User) int {
		switch {
		case (a.Run == "") == (b.Run == ""):
			return 0
		case a.Run == "":
			return 1
		}
		return -1
	})
	return list
}

// runOf is the run among whose supervisor's descendants a process is: a job's processes never get another parent than one of them.
func (u users) runOf(pid int) *Run {
	const deepest = 1000
	for range deepest {
		if pid <= 1 {
			return nil
		}
		for i, r := range u.runs {
			if r.Owner.PID == pid && u.here(r.Owner) {
				return &u.runs[i]
			}
		}
		pid = u.parent(pid)
	}
	return nil
}

// parentOf is a process's parent.
func parentOf(pid int) int {
	stat, err := proc.ReadStat(pid)
	if err != nil {
		return 0
	}
	return stat.Parent
}

// nameOf is what a process calls itself; "" where that cannot be known.
func nameOf(pid int) string {
	stat, err := proc.ReadStat(pid)
	if err != nil {
		return ""
	}
	return stat.Name
}
