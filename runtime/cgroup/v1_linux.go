package cgroup

import (
	"path/filepath"
	"strings"
)

// controllersV1 are those that a job gets groups of: for its limits, and to be measured by.
var controllersV1 = []string{"memory", "pids", "cpu", "cpuacct", "blkio"}

// cpusetV1 is one that a job gets a group of when its CPUs are limited: a new one has none to begin with.
const cpusetV1 = "cpuset"

// readV1 finds our own groups. A mount may show the hierarchy from some group on only, as in a container.
func readV1(root string, paths map[string]string) map[string]V1 {
	own := map[string]V1{}
	mounts := mountsV1(read(root + "/proc/self/mountinfo"))
	for _, name := range append([]string{cpusetV1}, controllersV1...) {
		mount, mounted := mounts[name]
		path, member := paths[name]
		if !mounted || !member {
			continue
		}
		below, ok := strings.CutPrefix(path, strings.TrimSuffix(mount.root, "/"))
		if !ok || strings.Contains(path, "..") {
			continue
		}
		dir := filepath.Join(root+mount.dir, below)
		own[name] = V1{Dir: dir, Writable: writable(dir) && writable(dir+"/cgroup.procs")}
	}
	return own
}

// mountV1 is where a hierarchy is mounted, and from which of its groups on.
type mountV1 struct{ dir, root string }

// mountsV1 reads proc_pid_mountinfo(5): the controllers are among the options of the file system.
func mountsV1(mountinfo string) map[string]mountV1 {
	const rootField, dirField = 3, 4
	mounts := map[string]mountV1{}
	for line := range strings.Lines(mountinfo) {
		mount, filesystem, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		if !ok || !strings.HasPrefix(filesystem, "cgroup ") {
			continue
		}
		fields, options := strings.Fields(mount), strings.Fields(filesystem)
		if len(fields) <= dirField {
			continue
		}
		for name := range strings.SplitSeq(options[len(options)-1], ",") {
			if _, taken := mounts[name]; !taken {
				mounts[name] = mountV1{dir: fields[dirField], root: fields[rootField]}
			}
		}
	}
	return mounts
}

// encloseV1 finds the tightest limits from our own groups up, as far as they are shown.
func encloseV1(own map[string]V1) (e Enclosing) {
	for dir := own["memory"].Dir; ; dir = filepath.Dir(dir) {
		bytes, ok := number(read(dir + "/memory.limit_in_bytes"))
		if !ok && !exists(dir+"/memory.limit_in_bytes") {
			break
		}
		if ok {
			e.MemoryBytes = least(e.MemoryBytes, bytes)
		}
	}
	for dir := own["cpu"].Dir; exists(dir + "/cpu.shares"); dir = filepath.Dir(dir) {
		if cpus, ok := cpuMax(read(dir+"/cpu.cfs_quota_us") + " " + read(dir+"/cpu.cfs_period_us")); ok {
			e.CPUs = least(e.CPUs, cpus)
		}
	}
	return e
}

// writableV1 reports whether any group of the host's v1 can be divided.
func (h Host) writableV1() bool {
	for _, own := range h.V1 {
		if own.Writable {
			return true
		}
	}
	return false
}
