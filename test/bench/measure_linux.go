package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sample is what one run of a contender took.
type sample struct {
	wall, user, system time.Duration // user and system: the process and all its descendants that were waited for
	later              time.Duration // user and system of what went on after the command had ended, until that ended, too
	own                int64         // peak resident bytes of the process itself; 0 when not watched
	tree               int64         // peak resident bytes of it and its living descendants together, pages shared between them counted in each
	written            int64         // bytes of pages that its writes made dirty, whether or not they reached the disk before they were removed
	disk               int64         // bytes that reached the disk, metadata with them; 0 where that cannot be told
	served             int64         // bytes that the registry sent
}

// measure runs a command. Its resident memory is read from /proc at the given interval (0: not at all) and not from
// wait4's ru_maxrss, which starts with the size of whoever forked.
func measure(cmd *exec.Cmd, every time.Duration) (sample, error) {
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	done, looked := make(chan struct{}), make(chan sample, 1)
	go func() { looked <- watch(cmd.Process.Pid, every, done) }()
	err := cmd.Wait()
	s := sample{wall: time.Since(start)}
	close(done)
	seen := <-looked
	s.own, s.tree = seen.own, seen.tree
	if err != nil {
		return sample{}, err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return sample{}, errors.New("no resource usage")
	}
	s.user, s.system = cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime()
	later, blocks, err := lateComers(patience)
	if err != nil {
		return sample{}, err
	}
	s.later = later
	// In blocks of 512 bytes, counted when a page becomes dirty (task_io_account_write in the kernel): what is deleted before
	// it is written back counts, what is overwritten in memory counts once, direct I/O counts.
	s.written = (usage.Oublock + blocks) * 512
	return s, nil
}

// watch keeps the largest memory of a process and of its tree until done.
func watch(root int, every time.Duration, done <-chan struct{}) (peak sample) {
	if every <= 0 {
		return sample{}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return peak
		case <-tick.C:
			own, tree := resident(root), int64(0)
			for pids := []int{root}; len(pids) > 0; pids = pids[1:] {
				tree += resident(pids[0])
				pids = append(pids, children(pids[0])...)
			}
			peak.own, peak.tree = max(peak.own, own), max(peak.tree, tree)
		}
	}
}

// resident is a process's peak resident memory in bytes, 0 when it is gone or already a zombie. See proc_pid_status(5).
func resident(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return peakIn(string(raw))
}

func peakIn(status string) int64 {
	_, after, ok := strings.Cut(status, "\nVmHWM:")
	if !ok {
		return 0
	}
	line, _, _ := strings.Cut(after, "\n")
	kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// children lists a process's children; none where the kernel lacks CONFIG_PROC_CHILDREN.
func children(pid int) (pids []int) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	for _, path := range lists {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(raw)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}
