package process

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
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

// comesFrom follows a process's parents. Who was orphaned has a parent in his own pid namespace.
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
	dir := "/proc/" + strconv.Itoa(pid)
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Process{}, err
	}
	p, err := parseStat(string(text))
	if err != nil {
		return Process{}, fmt.Errorf("%s/stat: %w", dir, err)
	}
	p.PID = pid
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Process{}, err
	}
	p.parseStatus(string(status))
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

// ticks are USER_HZ, the unit of times in /proc, which is the same on every machine that Linux runs on today.
const ticks = 100

// Fields of proc_pid_stat(5) after the command's name, counted from the state.
const (
	statState   = 0
	statParent  = 1
	statTTY     = 4
	statUser    = 11
	statSystem  = 12
	statThreads = 17
	statStart   = 19
	statVSZ     = 20
	statRSS     = 21
)

// parseStat reads a line of /proc/PID/stat. The command's name may have spaces and parentheses in it.
func parseStat(line string) (p Process, err error) {
	first, last := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if first < 0 || last < first {
		return p, fmt.Errorf("%q is no line of stat", line)
	}
	fields := strings.Fields(line[last+1:])
	if len(fields) <= statRSS {
		return p, fmt.Errorf("%q has too few fields", line)
	}
	number := func(i int) int64 {
		n, parseErr := strconv.ParseInt(fields[i], 10, 64)
		if parseErr != nil && err == nil {
			err = parseErr
		}
		return n
	}
	p.Name, p.State = line[first+1:last], fields[statState]
	p.Parent, p.TTY = int(number(statParent)), terminal(int(number(statTTY)))
	p.CPU = time.Duration(number(statUser)+number(statSystem)) * time.Second / ticks
	p.Begun = time.Duration(number(statStart)) * time.Second / ticks
	p.Threads, p.VSZ = int(number(statThreads)), number(statVSZ)
	p.RSS = number(statRSS) * int64(os.Getpagesize())
	return p, err
}

// parseStatus reads what is in /proc/PID/status alone.
func (p *Process) parseStatus(text string) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch name {
		case "Uid":
			p.UID, _ = strconv.Atoi(fields[0])
		case "NSpid":
			p.depth = len(fields)
			p.Inside, _ = strconv.Atoi(fields[len(fields)-1])
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
