package cgroup

import (
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is what this machine and the caller's place in it allow.
type Host struct {
	Unified  *Unified      // cgroup v2 alone; nil on hybrid hosts and those with v1
	V1       map[string]V1 // by controller: our own groups
	Batch    string        // the scheduler whose job we are part of: its group is not to be left
	Manager  *Manager      // nil: none to ask, or not looked for
	Booted   bool          // systemd manages the groups of this host
	Encloses Enclosing

	kernel kernel // tests have one of their own
}

// Unified is our own place in cgroup v2.
type Unified struct {
	Own, Parent Place

	Root      bool // our own is the root of all, which may have processes and children
	Rest      bool // our own is what restName leads to: the one above is ours to divide
	Delegated bool // our own was handed over to be divided
	Above     bool // the parent was, too
	Limited   bool // our own has limits, which a sibling would escape
}

// Place is a directory of cgroup v2.
type Place struct {
	Dir         string
	Writable    bool     // groups can be made in it
	Busy        bool     // processes are in it
	Controllers []string // that it has
	Passed      []string // that its children have
}

// V1 is our own group of one controller of cgroup v1.
type V1 struct {
	Dir      string
	Writable bool
}

// Enclosing are the limits of the groups around us, the tightest each. 0: none.
type Enclosing struct {
	MemoryBytes int64
	CPUs        float64
}

// Look says what to look for.
type Look struct {
	Root  string // directory in which the host's files are; "": the host's own
	Batch string // the scheduler of which the environment speaks, or ""
	Full  bool   // limits are asked for: look for somebody to ask
}

// Read gathers the facts. What cannot be read is not there.
func Read(look Look) Host {
	h := Host{Batch: look.Batch, kernel: linux{}}
	paths := parseSelf(read(look.Root + "/proc/self/cgroup"))
	if h.Batch == "" {
		h.Batch = schedulerOf(paths)
	}
	h.Booted = exists(look.Root + "/run/systemd/system")
	top := look.Root + "/sys/fs/cgroup"
	if !exists(top + "/cgroup.controllers") {
		h.V1 = readV1(look.Root, paths)
		h.Encloses = encloseV1(h.V1)
		return h
	}
	path, ok := paths[""]
	if !ok || !filepath.IsLocal(strings.TrimPrefix(path, "/")) && path != "/" {
		return h // of another cgroup namespace
	}
	own := filepath.Join(top, path)
	h.Unified = readUnified(top, own)
	h.Encloses = encloseV2(top, own)
	if look.Full && h.Batch == "" {
		h.Manager = findManager(look.Root, path)
	}
	return h
}

// parseSelf reads /proc/self/cgroup (cgroups(7)): the path of each controller; that of v2 is under "".
func parseSelf(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for name := range strings.SplitSeq(fields[1], ",") {
			paths[name] = fields[2]
		}
	}
	return paths
}

// schedulerOf recognises Slurm by its groups, where the environment was cleaned: system.slice/slurmstepd.scope/job_1/... of v2,
// slurm/uid_1000/job_1/... of v1.
func schedulerOf(paths map[string]string) string {
	for _, path := range paths {
		if strings.Contains(path+"/", "slurmstepd.scope/") || strings.Contains(path, "/slurm/uid_") || strings.Contains(path, "/job_") && strings.Contains(path, "/step_") {
			return "Slurm"
		}
	}
	return ""
}

// restName is the group into which processes of ours go that are in the way: a group that hands controllers to its children
// has no processes itself (cgroup-v2.rst, no internal process constraint).
const restName = "coracle.rest"

func readUnified(top, own string) *Unified {
	u := &Unified{
		Own:  readPlace(own),
		Root: !exists(own + "/cgroup.type"),
		Rest: filepath.Base(own) == restName,
	}
	if own != top {
		u.Parent = readPlace(filepath.Dir(own))
		u.Above = u.Rest || delegated(top, filepath.Dir(own))
	}
	u.Delegated = u.Above || isDelegated(own)
	_, cpus := cpuMax(read(own + "/cpu.max"))
	_, memory := number(read(own + "/memory.max"))
	u.Limited = cpus || memory
	return u
}

func readPlace(dir string) Place {
	return Place{
		Dir: dir,
		// A process is moved by who may write to cgroup.procs of the group that has both places below it.
		Writable:    writable(dir) && writable(dir+"/cgroup.procs") && writable(dir+"/cgroup.subtree_control"),
		Busy:        read(dir+"/cgroup.procs") != "",
		Controllers: strings.Fields(read(dir + "/cgroup.controllers")),
		Passed:      strings.Fields(read(dir + "/cgroup.subtree_control")),
	}
}

// delegated looks for the one who was handed this group or one above it, below the user's manager: what that was handed is the
// manager's.
func delegated(top, dir string) bool {
	for ; dir != top && len(dir) > len(top); dir = filepath.Dir(dir) {
		if isManager(filepath.Base(dir)) {
			return false
		}
		if isDelegated(dir) {
			return true
		}
	}
	return false
}

func isManager(name string) bool {
	return strings.HasPrefix(name, "user@") && strings.HasSuffix(name, ".service")
}

// isDelegated goes by the mark that systemd sets (systemd.resource-control(5), Delegate=): that of the host does. A user's manager
// sets none and can be asked (handedOver).
func isDelegated(dir string) bool {
	value := make([]byte, 8)
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		if n, err := unix.Getxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// encloseV2 finds the tightest limits from our own group up.
func encloseV2(top, own string) (e Enclosing) {
	for dir := own; ; dir = filepath.Dir(dir) {
		if bytes, ok := number(read(dir + "/memory.max")); ok {
			e.MemoryBytes = least(e.MemoryBytes, bytes)
		}
		if cpus, ok := cpuMax(read(dir + "/cpu.max")); ok {
			e.CPUs = least(e.CPUs, cpus)
		}
		if dir == top || len(dir) <= len(top) {
			return e
		}
	}
}

// least is the lesser of two limits, of which 0 is none.
func least[T int64 | float64](a, b T) T {
	if a == 0 || b < a {
		return b
	}
	return a
}

// Places are the directories of our own groups by controller, as they are before a job gets one of its own: what they count
// includes others. That of v2 is under "".
func (h Host) Places() map[string]string {
	places := map[string]string{}
	if h.Unified != nil {
		places[""] = h.Unified.Own.Dir
	}
	for name, own := range h.V1 {
		places[name] = own.Dir
	}
	return places
}

func contains(list []string, name string) bool { return slices.Contains(list, name) }
