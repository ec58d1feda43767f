package process

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/proc"
)

// Process is one of them. Times are of processors, or since the host's start.
type Process struct {
	PID     int
	Parent  int
	Inside  int // its number in its own pid namespace
	UID     int // of the host
	State   string
	TTY     string // such as pts/0, of the terminal's own namespace; "": it has none
	Name    string // as it calls itself
	Args    []string
	CPU     time.Duration
	Begun   time.Duration // after the host's start
	Threads int
	RSS     int64 // bytes
	VSZ     int64 // bytes

	depth int // pid namespaces in which it has a number, from here on
}

// Below lists the processes that come from one process and are in a pid namespace below its own, by their numbers.
func Below(pid int) ([]Process, error) {
	all, err := readAll()
	if err != nil {
		return nil, err
	}
	top, ok := all[pid]
	if !ok {
		return nil, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	var list []Process
	for _, p := range all {
		if p.depth > top.depth && comesFrom(all, p, pid) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
	return list, nil
}

// Under are those of a list that come from the one which has a number in its own pid namespace, and that one.
func Under(list []Process, inside int) []Process {
	all, first := map[int]Process{}, Process{}
	for _, p := range list {
		all[p.PID] = p
		if p.Inside == inside && (first.PID == 0 || p.depth < first.depth) { // in a namespace below there may be another one
			first = p
		}
	}
	return slices.DeleteFunc(list, func(p Process) bool { return p.PID != first.PID && !comesFrom(all, p, first.PID) })
}

// comesFrom follows a process's parents. Who was orphaned has a parent in their own pid namespace.
func comesFrom(all map[int]Process, p Process, from int) bool {
	for range all { // a number may have been given again meanwhile, in a circle
		if p.Parent == from {
			return true
		}
		parent, ok := all[p.Parent]
		if !ok {
			return false
		}
		p = parent
	}
	return false
}

// readAll reads what is visible of all processes.
func readAll() (map[int]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing the processes: %w", err)
	}
	all := make(map[int]Process, len(entries))
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := read(pid); err == nil { // else it has ended meanwhile
			all[pid] = p
		}
	}
	return all, nil
}

// read reads one. Its arguments are read where they are wanted: Complete.
func read(pid int) (Process, error) {
	stat, err := proc.ReadStat(pid)
	if err != nil {
		return Process{}, err
	}
	status, err := proc.ReadStatus(pid)
	if err != nil {
		return Process{}, err
	}
	p := Process{
		PID: pid, Parent: stat.Parent, UID: status.Number("Uid"), State: string(stat.State), TTY: terminal(stat.TTY), Name: stat.Name,
		CPU: proc.Duration(stat.User + stat.System), Begun: proc.Duration(stat.Start), Threads: stat.Threads,
		RSS: int64(stat.RSS) * int64(os.Getpagesize()), VSZ: int64(stat.VSZ),
	}
	if pids := status.PIDs(); len(pids) > 0 {
		p.Inside, p.depth = pids[len(pids)-1], len(pids)
	}
	return p, nil
}

// Complete reads the arguments of processes. One that has ended meanwhile has none, as one of the kernel's.
func Complete(list []Process) {
	for i := range list {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(list[i].PID) + "/cmdline")
		if err == nil && len(text) > 0 {
			list[i].Args = strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
		}
	}
}

// terminal is the name of a device number as ps has it (devices.txt: major 4 and 136 to 143).
func terminal(device int) string {
	const firstPTY, lastPTY, console, perMajor = 136, 143, 4, 256
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	switch {
	case major >= firstPTY && major <= lastPTY:
		return "pts/" + strconv.Itoa((major-firstPTY)*perMajor+minor)
	case major == console:
		return "tty" + strconv.Itoa(minor)
	}
	return ""
}

// Uptime is the time since the host's start, by the clock of Begun.
func Uptime() time.Duration {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, _ := strconv.ParseFloat(first, 64)
	return time.Duration(seconds * float64(time.Second))
}
