package cgroup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Manager is a systemd that makes scopes for the caller: the user's own, or that of the host for root.
type Manager struct {
	Address     string   // of its bus
	Controllers []string // that it can hand on
	Slice       string   // where scopes are to be; "": where it wants
	Unit        string   // of its own, in which we are, and that it may have handed over to be divided; "": none
	Beneath     bool     // we are in a group that somebody made below the unit's
	top         string   // of cgroup v2
	proc        string
}

// findManager finds the manager of whoever we are; nil: there is none. Who is in some slice of the manager's stays there.
func findManager(root, own string) *Manager {
	top := root + "/sys/fs/cgroup"
	m := &Manager{top: top, proc: root + "/proc"}
	if os.Geteuid() == 0 {
		m.Address = root + "/run/dbus/system_bus_socket"
		m.Controllers = strings.Fields(read(top + "/cgroup.controllers"))
		m.Slice = sliceOf(own)
		if !exists(root + "/run/systemd/system") {
			return nil
		}
	} else {
		uid := strconv.Itoa(os.Getuid())
		service := filepath.Join("/user.slice", "user-"+uid+".slice", "user@"+uid+".service")
		m.Address = socketOf(root+"/run/user/"+uid, os.Getenv)
		m.Controllers = strings.Fields(read(filepath.Join(top, service, "cgroup.controllers")))
		if below, ok := strings.CutPrefix(own, service+"/"); ok {
			m.Slice, m.Unit, m.Beneath = locate(below)
		}
	}
	if !exists(m.Address) || len(m.Controllers) == 0 {
		return nil
	}
	return m
}

// socketOf is where the user's bus is.
func socketOf(runtime string, getenv func(string) string) string {
	if path, ok := strings.CutPrefix(getenv("DBUS_SESSION_BUS_ADDRESS"), "unix:path="); ok {
		path, _, _ = strings.Cut(path, ",")
		return path
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		runtime = dir
	}
	return runtime + "/bus"
}

// sliceOf is the innermost slice of a path: /user.slice/user-0.slice/session-1.scope is in user-0.slice.
func sliceOf(path string) string {
	for ; path != "/" && path != "."; path = filepath.Dir(path) {
		if base := filepath.Base(path); strings.HasSuffix(base, ".slice") {
			return base
		}
	}
	return ""
}

// locate finds the slice and the scope or service, one of these in the other, that a path below a manager's own group leads to or
// beyond.
func locate(path string) (slice, unit string, beneath bool) {
	for path != "" {
		var first string
		first, path, beneath = strings.Cut(path, "/")
		switch filepath.Ext(first) {
		case ".slice":
			slice = first
		case ".scope", ".service":
			return slice, first, beneath
		}
	}
	return slice, "", false
}

// handedOver asks the manager whether the unit that we are in was handed over to be divided. Only the system's manager marks such
// units for others to see (isDelegated).
func (m *Manager) handedOver(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, managerPatience)
	defer cancel()
	conn, err := m.dial(ctx)
	if err != nil {
		return false // it will be asked for a scope, and say then what is the matter
	}
	defer conn.Close()
	kind := "Scope"
	if filepath.Ext(m.Unit) == ".service" {
		kind = "Service"
	}
	property, err := conn.GetUnitTypePropertyContext(ctx, m.Unit, kind, "Delegate")
	if err != nil {
		return false
	}
	delegated, ok := property.Value.Value().(bool)
	return ok && delegated
}

// dial connects to the manager's bus.
func (m *Manager) dial(ctx context.Context) (*systemd.Conn, error) { return dial(ctx, m.Address) }

// dial connects to the manager on a bus. Only the process that the caller started may: in a user namespace it would claim to be root.
func dial(ctx context.Context, bus string) (*systemd.Conn, error) {
	return systemd.NewConnection(func() (*dbus.Conn, error) {
		conn, err := dbus.Dial("unix:path="+dbus.EscapeBusAddressValue(bus), dbus.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		if err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err == nil {
			err = conn.Hello()
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	})
}

// managerPatience is how long a manager may take to answer; scopePatience is for a scope, without which a job goes without its limits: as
// long as systemd's own tools wait. A node that many jobs start on at once can take more than a few seconds.
var (
	managerPatience = 5 * time.Second
	scopePatience   = 25 * time.Second
)

// startScope has the manager make a scope with the process in it, which is ours to divide.
func (g *Group) startScope(ctx context.Context, m *Manager, name string, job Job) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, scopePatience, fmt.Errorf("asking systemd for a scope: there was no answer within %s", scopePatience))
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // and not what a connection says that was closed for it
		}
	}()
	process, err := job.Pid()
	if err != nil {
		return err
	}
	conn, err := m.dial(ctx)
	if err != nil {
		return fmt.Errorf("asking systemd: %w", err)
	}
	defer conn.Close()
	unit := name + ".scope"
	if err := job.Foresee(Unit{Name: unit, Bus: m.Address}); err != nil {
		return err
	}
	if err := run(ctx, conn, unit, m.properties(process)); err != nil {
		return fmt.Errorf("asking systemd for a scope: %w", err)
	}
	path := parseSelf(read(fmt.Sprintf("%s/%d/cgroup", m.proc, process)))[""]
	if filepath.Base(path) != unit {
		return fmt.Errorf("systemd has not put the job into %s", unit)
	}
	return g.divideScope(filepath.Join(m.top, path), name)
}

// divideScope makes room in a scope for the job's own group, which has the limits: systemd removes a scope as soon as nobody is in
// it, and what it has counted goes with it. One process of ours, beside the job's group and so out of the reach of its limits,
// keeps it (see Release).
func (g *Group) divideScope(dir, name string) error {
	g.Base, g.unified = dir, filepath.Join(dir, name)
	g.verify()
	g.Enable = strings.Fields(read(dir + "/cgroup.controllers")) // all that count
	return errors.Join(g.makeRoom(), g.enable())
}

// run starts the scope and waits for it.
func run(ctx context.Context, conn *systemd.Conn, unit string, properties []systemd.Property) error {
	done := make(chan string, 1)
	if _, err := conn.StartTransientUnitContext(ctx, unit, "fail", properties, done); err != nil {
		return err
	}
	select {
	case result := <-done:
		if result != "done" {
			return errors.New(result)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// properties are those of the scope (systemd.resource-control(5), systemd.scope(5)). A scope that failed is to go like one that did
// not.
func (m *Manager) properties(pid int) []systemd.Property {
	property := func(name string, value any) systemd.Property {
		return systemd.Property{Name: name, Value: dbus.MakeVariant(value)}
	}
	list := []systemd.Property{
		systemd.PropDescription("a job of Coracle"),
		systemd.PropPids(uint32(pid)),
		property("Delegate", true),
		property("TasksMax", uint64(math.MaxUint64)), // the manager's default may be less than what the job gets
		property("CollectMode", "inactive-or-failed"),
		property("DefaultDependencies", false),
	}
	if m.Slice != "" {
		list = append(list, systemd.PropSlice(m.Slice))
	}
	return list
}

// verify moves what the scope does not hold from the enforced to the missing.
func (g *Group) verify() {
	var held []want
	for _, w := range g.wants {
		if g.holds(w) {
			held = append(held, w)
			continue
		}
		g.forget(w)
		if !w.quiet {
			g.Missing = append(g.Missing, Missing{w.limit, w.value, fmt.Sprintf("the controller %s is not delegated to you", w.controller)})
		}
	}
	g.wants = held
}

// holds reports whether the scope has what holds a limit. A manager passes over controllers that it was not given itself.
func (g *Group) holds(w want) bool {
	return slices.ContainsFunc(w.v2[0], func(f file) bool { return exists(g.Base + "/" + f.name) })
}
