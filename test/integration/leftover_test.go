package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
	waitFor(t, "nothing is left of the run", 20*time.Second, func() error {
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
	self := os.Getpid()
	parents := map[int]int{}
	names := map[int]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		name, state, parent := parseStat(string(stat))
		if state == "Z" {
			if parent == self {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
			continue
		}
		parents[pid], names[pid] = parent, name
	}
	for pid := range parents {
		if below(pid, self, parents) && (shared.registry == nil || pid != shared.registry.Process.Pid) {
			left = append(left, fmt.Sprintf("%d %s", pid, names[pid]))
		}
	}
	return left
}

// parseStat reads a line of /proc/PID/stat: "PID (name) state parent ...", where the name may hold anything.
func parseStat(line string) (name, state string, parent int) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return "", "", 0
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 2 {
		return "", "", 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return "", "", 0
	}
	return line[open+1 : end], fields[0], parent
}

func below(pid, ancestor int, parents map[int]int) bool {
	for steps := 0; pid > 1 && steps < 100; steps++ {
		pid = parents[pid]
		if pid == ancestor {
			return true
		}
	}
	return false
}
