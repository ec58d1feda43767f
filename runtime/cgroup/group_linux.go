package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// prefix begins the names of groups of ours; the run's id follows, which no two runs share.
const prefix = "coracle-"

// Group is the control group of one job, or its absence. The zero value is that.
type Group struct {
	Plan

	unified string            // the job's directory of v2
	v1      map[string]string // and of v1, by controller
	made    []string          // what of these there is
	entered int               // the process
	kernel  kernel
}

// Job is for whom a group is.
type Job struct {
	ID  string              // the run's
	Pid func() (int, error) // gives the process that is to be in the group, once it is there

	// Foresee is told of a scope before its manager is asked for it: a manager may be left with one if this process is killed (StopScope).
	// An error keeps it from being made.
	Foresee func(Unit) error
}

// Arrange decides and does what has to be done before the job's own group is made, and nothing that would stay of a killed
// process but what later runs use as well. The scope of a systemd manager is made here; it ends with its processes.
func (h Host) Arrange(ctx context.Context, l Limits, job Job) *Group {
	if asked(l.wants()) {
		h.learn(ctx)
	}
	vain := map[Way]string{}
	for {
		g := &Group{Plan: h.Decide(l, vain), kernel: h.kernel}
		err := g.prepare(ctx, h, job)
		if err == nil {
			return g
		}
		vain[g.Way] = err.Error()
	}
}

// learn asks the manager what cannot be seen: whether our own group, which is one of its units or below one, is ours to divide.
func (h Host) learn(ctx context.Context) {
	u, m := h.Unified, h.Manager
	if u == nil || m == nil || m.Unit == "" || u.Delegated || !u.Own.Writable || !m.handedOver(ctx) {
		return
	}
	u.Delegated, u.Above = true, m.Beneath
}

func (g *Group) prepare(ctx context.Context, h Host, job Job) error {
	name := prefix + job.ID
	switch g.Way {
	case Stay:
		return nil
	case Each:
		g.v1 = map[string]string{}
		for controller, own := range h.V1 {
			if own.Writable && (controller != cpusetV1 || contains(g.Enable, cpusetV1)) {
				g.v1[controller] = filepath.Join(own.Dir, name)
			}
		}
		return nil
	case Scope:
		return g.startScope(ctx, h.Manager, name, job)
	case Divide:
		if err := g.makeRoom(); err != nil {
			return err
		}
	}
	if err := g.enable(); err != nil {
		return err
	}
	g.unified = filepath.Join(g.Base, name)
	return nil
}

// enable hands the controllers that are needed to the groups below the base: all or none.
func (g *Group) enable() error {
	control := g.Base + "/cgroup.subtree_control"
	passed := strings.Fields(read(control))
	var more []string
	for _, controller := range g.Enable {
		if !contains(passed, controller) {
			more = append(more, "+"+controller)
		}
	}
	if len(more) == 0 {
		return nil
	}
	return g.kernel.write(control, strings.Join(more, " "))
}

// rounds is how often the processes of a group are looked for that were forked meanwhile.
const rounds = 16

// makeRoom moves everything in a group into one below it. The group was handed over to be divided, and one that hands
// controllers on has no processes.
func (g *Group) makeRoom() error {
	rest := filepath.Join(g.Base, restName)
	if err := g.kernel.mkdir(rest); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for range rounds {
		pids := strings.Fields(read(g.Base + "/cgroup.procs"))
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := g.kernel.write(rest+"/cgroup.procs", pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("%s: processes come faster than they can be moved out of the way", g.Base)
}

// Unified is the job's directory of cgroup v2; "" where it has none.
func (g *Group) Unified() string { return g.unified }

// V1 are the job's directories of cgroup v1, by controller.
func (g *Group) V1() map[string]string { return g.v1 }

// Counts reports whether the job's own group has a controller.
func (g *Group) Counts(controller string) bool {
	return g.v1[controllerOfV1(controller)] != "" || g.unified != "" && contains(strings.Fields(read(g.unified+"/cgroup.controllers")), controller)
}

// Leftovers are the directories that stay when this process is killed, for Remove by another.
func (g *Group) Leftovers() []string {
	if g.Way == Scope {
		return nil
	}
	return g.dirs()
}

// dirs are the job's directories, each once: of v1, two controllers may share one.
func (g *Group) dirs() []string {
	dirs := slices.Collect(maps.Values(g.v1))
	if g.unified != "" {
		dirs = append(dirs, g.unified)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// Enter makes the group and puts a process into it, before that has any children. Where the user asked for nothing, a job
// without a group is as good.
func (g *Group) Enter(pid int) error {
	err := g.enter(pid)
	if err == nil {
		return nil
	}
	err = errors.Join(err, g.Remove())
	if g.asked() == 0 {
		g.unified, g.v1, g.Enforced = "", nil, nil
		return nil
	}
	return fmt.Errorf("making the job's control group: %w", err)
}

func (g *Group) enter(pid int) error {
	g.entered = pid
	for _, dir := range g.dirs() {
		if err := g.kernel.mkdir(dir); err != nil {
			return err
		}
		g.made = append(g.made, dir)
	}
	if dir := g.v1[cpusetV1]; dir != "" {
		// A new one has none of either, and no process can be in it then (cpusets.rst).
		for _, name := range []string{"/cpuset.cpus", "/cpuset.mems"} {
			if err := g.kernel.write(dir+name, read(filepath.Dir(dir)+name)); err != nil {
				return err
			}
		}
	}
	for _, w := range g.wants {
		if err := g.write(w); err != nil {
			return err
		}
	}
	g.killTogether()
	for _, dir := range g.made {
		if err := g.kernel.write(dir+"/cgroup.procs", strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

// write makes one limit hold. One that nobody asked for may be unknown to the kernel, as one of swap often is.
func (g *Group) write(w want) error {
	files, dir := w.v2, g.unified
	if g.Way == Each {
		files, dir = w.v1, g.v1[controllerOfV1(w.controller)]
	}
	for _, alternatives := range files {
		err := g.writeOne(dir, alternatives)
		switch {
		case err == nil:
		case w.quiet:
			g.forget(w)
		default:
			return err
		}
	}
	return nil
}

// writeOne writes the first of several files that the kernel has.
func (g *Group) writeOne(dir string, alternatives []file) (err error) {
	for _, f := range alternatives {
		if err = g.kernel.write(dir+"/"+f.name, f.value); err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return err
}

func controllerOfV1(name string) string {
	if name == "io" {
		return "blkio"
	}
	return name
}

// forget takes a limit out of what is enforced.
func (g *Group) forget(w want) {
	g.Enforced = slices.DeleteFunc(g.Enforced, func(e Enforced) bool { return e.Limit == w.limit })
}

// killTogether has the kernel end the whole job when it is out of memory: what is left of one that has lost a process at random
// would wait for it (cgroup-v2.rst, memory.oom.group). Kernels before 4.19 do not know it.
func (g *Group) killTogether() {
	if g.unified != "" && contains(g.Enable, "memory") {
		_ = g.kernel.write(g.unified+"/memory.oom.group", "1")
	}
}

// Release takes the process that entered out of the group, when those that it was to bring along are there. In a scope it stays
// until the group has been read, and no limit of the job ends it. Where it cannot, it shares the job's fate.
func (g *Group) Release() {
	if g.Way == Scope {
		_ = g.kernel.write(filepath.Join(g.Base, restName, "cgroup.procs"), strconv.Itoa(g.entered))
	}
}

// Remove removes the group, whose processes have ended. Systemd removes what is in a scope along with it.
func (g *Group) Remove() error {
	dirs := g.made
	g.made = nil
	if g.Way == Scope {
		return nil
	}
	return removeAll(g.kernel, dirs)
}

// patience is how long the dying may take.
const patience = 2 * time.Second

// Remove removes groups of a job that is over. Whoever is left in them is killed: a supervisor that was killed takes its job
// along, which may be on its way.
func Remove(dirs []string) error { return removeAll(linux{}, dirs) }

func removeAll(k kernel, dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		if !strings.HasPrefix(filepath.Base(dir), prefix) {
			errs = append(errs, fmt.Errorf("%s is no control group of a job", dir))
			continue
		}
		errs = append(errs, remove(k, dir))
	}
	return errors.Join(errs...)
}

func remove(k kernel, dir string) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := k.rmdir(dir)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, unix.EBUSY) || time.Now().After(end):
			return &fs.PathError{Op: "removing control group", Path: dir, Err: err}
		}
		for _, text := range strings.Fields(read(dir + "/cgroup.procs")) {
			if pid, err := strconv.Atoi(text); err == nil && pid > 1 && pid != os.Getpid() {
				_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
			}
		}
	}
}

// OOMKills is how many processes of the job the kernel has ended for want of memory.
func (g *Group) OOMKills() int64 {
	text := read(g.unified + "/memory.events")
	if g.Way == Each {
		text = read(g.v1["memory"] + "/memory.oom_control")
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := number(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}
