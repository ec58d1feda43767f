package proc

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
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

// parent is a process's; false: it has ended.
func (f *Family) parent(pid int) (int, bool) {
	s, err := StatAt(f.Proc, strconv.Itoa(pid))
	return s.Parent, err == nil
}

// Processes are the numbers that a /proc has.
func Processes(proc int) (pids []int, err error) {
	list := make([]byte, 4<<10)
	if _, err := unix.Seek(proc, 0, unix.SEEK_SET); err != nil {
		return nil, err
	}
	for {
		var n int
		err := sys.Retry(func() (err error) { n, err = unix.Getdents(proc, list); return err })
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
		if s, err := StatusAt(proc, strconv.Itoa(pid)); err == nil { // else it has ended
			if pids := s.PIDs(); len(pids) == 2 && pids[1] == number {
				return pid, nil
			}
		}
	}
	return 0, err
}
