package proc

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Stat is a line of /proc/PID/stat (proc_pid_stat(5)). Times are in ticks.
type Stat struct {
	PID    int
	Name   string // as it calls itself: 15 bytes at most, longer for the kernel's own
	State  byte
	Parent int
	TTY    int // the terminal's device number; 0: it has none

	User, System             uint64
	ReapedUser, ReapedSystem uint64 // of the children that it has waited for

	Threads int
	Start   uint64 // after the host's start
	VSZ     uint64 // bytes
	RSS     uint64 // pages

	EnvStart uint64 // where in its memory its environment begins; 0: the kernel keeps that from the reader
}

// TicksPerSecond is USER_HZ, the unit of times in /proc, which is the same on every machine that Linux runs on today.
const TicksPerSecond = 100

// Duration is a time of Stat.
func Duration(ticks uint64) time.Duration {
	return time.Duration(ticks) * (time.Second / TicksPerSecond)
}

// Ended reports whether it is a zombie or less: it holds nothing and will do nothing.
func (s Stat) Ended() bool { return s.State == 'Z' || s.State == 'X' || s.State == 'x' }

// Fields after the name, counted from the state.
const (
	fieldState        = 0
	fieldParent       = 1
	fieldTTY          = 4
	fieldUser         = 11
	fieldSystem       = 12
	fieldReapedUser   = 13
	fieldReapedSystem = 14
	fieldThreads      = 17
	fieldStart        = 19
	fieldVSZ          = 20
	fieldRSS          = 21
	fieldEnvStart     = 47 // since Linux 3.5
)

// ParseStat reads a line. The error wraps ErrFormat.
func ParseStat(line []byte) (Stat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return Stat{}, fmt.Errorf("%w: no name in %q", ErrFormat, line)
	}
	f := fields{list: bytes.Fields(line[end+1:])}
	if len(f.list) <= fieldRSS {
		return Stat{}, fmt.Errorf("%w: %d fields after the name in %q", ErrFormat, len(f.list), line)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line[:open])))
	f.note(err)
	s := Stat{
		PID: pid, Name: string(line[open+1 : end]), State: f.list[fieldState][0], Parent: f.number(fieldParent), TTY: f.number(fieldTTY),
		User: f.count(fieldUser), System: f.count(fieldSystem), ReapedUser: f.count(fieldReapedUser), ReapedSystem: f.count(fieldReapedSystem),
		Threads: f.number(fieldThreads), Start: f.count(fieldStart), VSZ: f.count(fieldVSZ), RSS: f.count(fieldRSS),
	}
	if len(f.list) > fieldEnvStart {
		s.EnvStart = f.count(fieldEnvStart)
	}
	if f.err != nil {
		return Stat{}, fmt.Errorf("%w: %w in %q", ErrFormat, f.err, line)
	}
	return s, nil
}

// fields reads numbers, and keeps the first error.
type fields struct {
	list [][]byte
	err  error
}

func (f *fields) note(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) number(i int) int {
	n, err := strconv.Atoi(string(f.list[i]))
	f.note(err)
	return n
}

func (f *fields) count(i int) uint64 {
	n, err := strconv.ParseUint(string(f.list[i]), 10, 64)
	f.note(err)
	return n
}
