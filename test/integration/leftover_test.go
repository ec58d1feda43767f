package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// adopt makes the test process the one that orphans below it fall to, so that what a dead supervisor leaves is found among
// its own descendants, whatever else this user runs.
func adopt(t *testing.T) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
}

// nothingLeft fails the test unless, soon, no process, mount or directory of a run is there. The store keeps layers, images
// and records; those are no leftovers.
func nothingLeft(t *testing.T, b *box) {
	t.Helper()
	waitFor(t, "nothing is left of the run", patience, func() error {
		if left := descendants(); len(left) > 0 {
			return fmt.Errorf("processes %q", left)
		}
		return b.leftovers()
	})
}

// leftovers says which directories or mounts of runs are there.
func (b *box) leftovers() error {
	dirs := []string{filepath.Join(b.root, "upper"), filepath.Join(b.root, "tmp")}
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
		dirs = append(dirs, filepath.Join(runtime, "coracle"))
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for _, e := range entries {
			if e.IsDir() {
				return fmt.Errorf("%s is left", filepath.Join(dir, e.Name()))
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), b.root) {
		return fmt.Errorf("a mount below %s is left", b.root)
	}
	return nil
}

// descendants lists the living processes below this one, without the shared registry; orphans that have ended are reaped.
func descendants() (left []string) {
	all := processes()
	for pid, p := range all {
		if shared.registry != nil && pid == shared.registry.Process.Pid || !below(pid, os.Getpid(), all) {
			continue
		}
		if p.state != "Z" {
			left = append(left, fmt.Sprintf("%d %s", pid, p.name))
		} else if p.parent == os.Getpid() {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
	return left
}

// process is what /proc/PID/stat says of one.
type process struct {
	name, state string
	parent      int
}

// processes are all of this machine, by their ids.
func processes() map[int]process {
	all := map[int]process{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is a good one
	for _, file := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if stat, err := os.ReadFile(file); err == nil { // else it has just ended
			all[pid] = parseStat(string(stat))
		}
	}
	return all
}

// parseStat reads a line of /proc/PID/stat: "PID (name) state parent ...", where the name may hold anything.
func parseStat(line string) process {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return process{}
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 2 {
		return process{}
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return process{}
	}
	return process{name: line[open+1 : end], state: fields[0], parent: parent}
}

func below(pid, ancestor int, all map[int]process) bool {
	for steps := 0; pid > 1 && steps < 100; steps++ {
		pid = all[pid].parent
		if pid == ancestor {
			return true
		}
	}
	return false
}
