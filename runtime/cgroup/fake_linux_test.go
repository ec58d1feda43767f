package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fake is a host with cgroup v2 in a directory: the files that Coracle reads, and a kernel that holds to the rules of
// cgroup-v2.rst as far as they matter here.
type fake struct {
	t    *testing.T
	root string
	fail map[string]error // of writes, by the file's name
	held map[string]bool  // groups that can be looked at only
}

// filesOf are the files of each controller that a group has when it has the controller.
var filesOf = map[string][]string{
	"memory": {"memory.max", "memory.swap.max", "memory.oom.group", "memory.events"},
	"cpu":    {"cpu.max"}, "cpuset": {"cpuset.cpus"}, "pids": {"pids.max"}, "io": {"io.weight"},
}

// newFake is a host whose caller, process 1, is in the group own, with these controllers at the top.
func newFake(t *testing.T, own string, controllers ...string) *fake {
	t.Helper()
	f := &fake{t: t, root: t.TempDir(), fail: map[string]error{}, held: map[string]bool{}}
	f.set("proc/self/cgroup", "0::"+own+"\n")
	f.group("/")
	if err := os.Remove(f.path("/cgroup.type")); err != nil { // the root of all has none
		t.Fatal(err)
	}
	f.set("sys/fs/cgroup/cgroup.controllers", strings.Join(controllers, " "))
	at := ""
	for part := range strings.SplitSeq(strings.Trim(own, "/"), "/") {
		if part == "" {
			break
		}
		at += "/" + part
		f.group(at)
	}
	f.set("sys/fs/cgroup"+own+"/cgroup.procs", "1\n2\n")
	return f
}

func (f *fake) path(group string) string { return filepath.Join(f.root, "sys/fs/cgroup", group) }

// file is the text of a file in a group.
func (f *fake) file(group, name string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.path(group), name))
	if err != nil {
		return "(none)"
	}
	return strings.TrimSpace(string(text))
}

func (f *fake) set(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		f.t.Fatal(err)
	}
}

// group makes a group with the controllers that the one above hands down.
func (f *fake) group(group string) {
	f.t.Helper()
	if err := f.mkdir(f.path(group)); err != nil && !errors.Is(err, fs.ErrExist) {
		f.t.Fatal(err)
	}
}

// pass hands controllers down from a group, and shows them in those below.
func (f *fake) pass(group string, controllers ...string) {
	f.t.Helper()
	for _, c := range controllers {
		if err := f.enable(f.path(group), c); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fake) mkdir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && filepath.Base(dir) != "cgroup" {
		return err
	}
	handed := strings.Fields(read(filepath.Dir(dir) + "/cgroup.subtree_control"))
	names := []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.type", "cgroup.controllers"}
	for _, c := range handed {
		names = append(names, filesOf[c]...)
	}
	for _, name := range names {
		text := "max\n"
		switch name {
		case "cgroup.procs", "cgroup.subtree_control", "memory.events":
			text = ""
		case "cgroup.controllers":
			text = strings.Join(handed, " ") + "\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) rmdir(dir string) error {
	if read(dir+"/cgroup.procs") != "" {
		return unix.EBUSY
	}
	if !exists(dir) {
		return unix.ENOENT
	}
	return os.RemoveAll(dir)
}

func (f *fake) write(path, value string) error {
	dir, name := filepath.Split(path)
	dir = filepath.Clean(dir)
	if err := f.fail[name]; err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	switch name {
	case "cgroup.procs":
		return f.move(dir, value)
	case "cgroup.subtree_control":
		for part := range strings.FieldsSeq(value) {
			if err := f.enable(dir, strings.TrimPrefix(part, "+")); err != nil {
				return err
			}
		}
		return nil
	}
	if !exists(path) {
		return &fs.PathError{Op: "write", Path: path, Err: fs.ErrNotExist}
	}
	return os.WriteFile(path, []byte(value), 0o600)
}

// move takes a process out of the group that it is in. One that hands controllers down can have none, but for the root.
func (f *fake) move(dir, pid string) error {
	if read(dir+"/cgroup.subtree_control") != "" && exists(dir+"/cgroup.type") {
		return unix.EBUSY
	}
	err := filepath.WalkDir(f.path("/"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "cgroup.procs" {
			return err
		}
		pids := slices.DeleteFunc(strings.Fields(read(path)), func(other string) bool { return other == pid })
		if filepath.Dir(path) == dir {
			pids = append(pids, pid)
		}
		return os.WriteFile(path, []byte(strings.Join(pids, "\n")), 0o600)
	})
	return err
}

func (f *fake) enable(dir, controller string) error {
	control := dir + "/cgroup.subtree_control"
	if !contains(strings.Fields(read(dir+"/cgroup.controllers")), controller) {
		return unix.ENOENT
	}
	if read(dir+"/cgroup.procs") != "" && exists(dir+"/cgroup.type") {
		return unix.EBUSY
	}
	below, err := filepath.Glob(dir + "/*/cgroup.controllers")
	if err != nil {
		return err
	}
	for _, path := range below {
		for _, name := range filesOf[controller] {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte("max\n"), 0o600); err != nil {
				return err
			}
		}
		if err := os.WriteFile(path, []byte(read(path)+" "+controller), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(control, []byte(read(control)+" "+controller), 0o600)
}

// deny makes groups such that can be looked at only.
func (f *fake) deny(groups ...string) {
	for _, group := range groups {
		f.held[f.path(group)] = true
	}
}

// look reads the host as Coracle does, and denies what was denied: to root nothing is.
func (f *fake) look(l Look) Host {
	f.t.Helper()
	l.Root = f.root
	h := Read(l)
	h.kernel = f
	if u := h.Unified; u != nil {
		for _, place := range []*Place{&u.Own, &u.Parent} {
			place.Writable = place.Writable && !f.held[place.Dir]
		}
	}
	return h
}

// run arranges and enters, and returns the group with the path that it has in the hierarchy.
func (f *fake) run(h Host, l Limits) (*Group, string) {
	f.t.Helper()
	g := h.Arrange(context.Background(), l, Job{ID: "ID", Pid: func() (int, error) { return 77, nil }})
	if err := g.Enter(77); err != nil {
		f.t.Fatal(err)
	}
	if g.Unified() == "" {
		return g, ""
	}
	rel, err := filepath.Rel(f.path("/"), g.Unified())
	if err != nil {
		f.t.Fatal(err)
	}
	return g, "/" + rel
}

// summary is what holds and what does not, for comparison.
func summary(p Plan) string {
	var parts []string
	for _, e := range p.Enforced {
		parts = append(parts, e.Limit+" by "+e.Mechanism)
	}
	for _, m := range p.Missing {
		parts = append(parts, "no "+m.Limit)
	}
	return fmt.Sprintf("%s: %s", p.Way, strings.Join(parts, ", "))
}
