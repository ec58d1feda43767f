package sys

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Family lists a process and what has come of it, of all that a /proc shows. Whoever is somebody else's child stays that, and is not
// looked at every time; a number that is used again is noticed a few lists later.
type Family struct {
	Proc  int // the directory
	First int // the process, by its number there

	round  int
	others map[int]int // of whom is known that they are none of it, with the round in which that was seen
}

// forgetful is after how many lists a stranger is looked at again.
const forgetful = 8

// Members are the processes of the family, in no order. Where the first is gone there are none.
func (f *Family) Members() (pids []int, err error) {
	all, err := Processes(f.Proc)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	f.round++
	parents := make(map[int]int, len(all))
	for _, pid := range all {
		if seen, ok := f.others[pid]; ok && f.round-seen < forgetful {
			continue
		}
		if parent, ok := f.parent(pid); ok {
			parents[pid] = parent
		}
	}
	others := make(map[int]int, len(all))
	for _, pid := range all {
		if seen, ok := f.others[pid]; ok && f.round-seen < forgetful {
			others[pid] = seen
		}
	}
	for pid := range parents {
		switch ours, certain := f.descends(pid, parents); {
		case ours:
			pids = append(pids, pid)
		case certain:
			others[pid] = f.round
		}
	}
	f.others = others
	return pids, nil
}

// descends follows a process's parents. What is uncertain may be somebody's whose parent has ended meanwhile.
func (f *Family) descends(pid int, parents map[int]int) (ours, certain bool) {
	for range len(parents) + 1 {
		if pid == f.First {
			return true, true
		}
		parent, ok := parents[pid]
		if !ok {
			_, known := f.others[pid]
			return false, known
		}
		if parent <= 1 {
			return false, true
		}
		pid = parent
	}
	return false, false
}

// parent reads /proc/PID/stat (proc_pid_stat(5)); a command's name may have anything in it but ends with the last parenthesis.
func (f *Family) parent(pid int) (int, bool) {
	text := make([]byte, 512)
	n := -1
	fd, err := OpenBeneath(f.Proc, strconv.Itoa(pid)+"/stat", unix.O_RDONLY, 0)
	if err != nil {
		return 0, false // it has ended
	}
	err = Retry(func() (err error) { n, err = unix.Read(fd, text); return err })
	if err := errors.Join(err, Close(fd)); err != nil {
		return 0, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text[:n], ')')+1 : n])
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}

// Processes are the numbers that a /proc has.
func Processes(proc int) (pids []int, err error) {
	list := make([]byte, 4<<10)
	if _, err := unix.Seek(proc, 0, unix.SEEK_SET); err != nil {
		return nil, err
	}
	for {
		var n int
		err := Retry(func() (err error) { n, err = unix.Getdents(proc, list); return err })
		if err != nil || n == 0 {
			return pids, err
		}
		_, _, names := unix.ParseDirent(list[:n], -1, nil)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				pids = append(pids, pid)
			}
		}
	}
}

// FindInit finds in a /proc the process that has a number in the pid namespace right below its own; 0: there is none.
func FindInit(proc, number int) (pid int, err error) {
	all, err := Processes(proc)
	for _, pid := range all {
		if numbers := numbersOf(proc, pid); len(numbers) == 2 && string(numbers[1]) == strconv.Itoa(number) {
			return pid, nil
		}
	}
	return 0, err
}

// numbersOf are those of a process in its pid namespaces, from the one of that /proc on; nil: it has ended.
func numbersOf(proc, pid int) [][]byte {
	fd, err := OpenBeneath(proc, strconv.Itoa(pid)+"/status", unix.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	text := make([]byte, 4<<10)
	n := 0
	err = Retry(func() (err error) { n, err = unix.Read(fd, text); return err })
	if errors.Join(err, Close(fd)) != nil {
		return nil
	}
	_, rest, _ := bytes.Cut(text[:max(n, 0)], []byte("\nNSpid:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return bytes.Fields(line)
}
