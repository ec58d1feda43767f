package cgroup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
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
	top         string   // of cgroup v2
	proc        string
}

// findManager finds the manager of whoever we are; nil: there is none. Root is in some slice of the host's manager and stays there.
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
		m.Address = socketOf(root+"/run/user/"+uid, os.Getenv)
		m.Controllers = strings.Fields(read(filepath.Join(top, "user.slice", "user-"+uid+".slice", "user@"+uid+".service", "cgroup.controllers")))
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

// dial connects to the bus. Only the process that the caller started may: in a user namespace it would claim to be root.
func (m *Manager) dial(ctx context.Context) (*systemd.Conn, error) {
	return systemd.NewConnection(func() (*dbus.Conn, error) {
		conn, err := dbus.Dial("unix:path="+dbus.EscapeBusAddressValue(m.Address), dbus.WithContext(ctx))
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

// managerPatience is how long a manager may take.
const managerPatience = 5 * time.Second

// startScope has the manager make a scope with the process in it, and looks at what holds there: a manager passes over what it
// has no controller for.
func (g *Group) startScope(ctx context.Context, m *Manager, name string, pid func() (int, error)) error {
	ctx, cancel := context.WithTimeout(ctx, managerPatience)
	defer cancel()
	process, err := pid()
	if err != nil {
		return err
	}
	conn, err := m.dial(ctx)
	if err != nil {
		return fmt.Errorf("asking systemd: %w", err)
	}
	defer conn.Close()
	unit := name + ".scope"
	if err := run(ctx, conn, unit, m.properties(g.wants, process)); err != nil {
		return fmt.Errorf("asking systemd for a scope: %w", err)
	}
	path := parseSelf(read(fmt.Sprintf("%s/%d/cgroup", m.proc, process)))[""]
	if filepath.Base(path) != unit {
		return fmt.Errorf("systemd has not put the job into %s", unit)
	}
	g.unified = filepath.Join(m.top, path)
	g.killTogether()
	g.verify()
	return nil
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

// properties are those of the scope (systemd.resource-control(5)). A scope that failed is to go like one that did not.
func (m *Manager) properties(wants []want, pid int) []systemd.Property {
	property := func(name string, value any) systemd.Property {
		return systemd.Property{Name: name, Value: dbus.MakeVariant(value)}
	}
	list := []systemd.Property{
		systemd.PropDescription("a job of Coracle"),
		systemd.PropPids(uint32(pid)),
		property("Delegate", true),
		property("CollectMode", "inactive-or-failed"),
		property("DefaultDependencies", false),
	}
	if m.Slice != "" {
		list = append(list, systemd.PropSlice(m.Slice))
	}
	for _, w := range wants {
		if name, value := propertyOf(w); name != "" {
			list = append(list, property(name, value))
		}
	}
	return list
}

// propertyOf is a limit in systemd's terms.
func propertyOf(w want) (string, any) {
	value := w.v2[0][0].value
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		n = math.MaxUint64 // no limit
	}
	switch w.limit {
	case Memory:
		return "MemoryMax", n
	case Swap:
		return "MemorySwapMax", n
	case Pids:
		return "TasksMax", n
	case IOWeight:
		return "IOWeight", n
	case CPUs:
		quota, _, _ := strings.Cut(value, " ")
		micros, _ := strconv.ParseUint(quota, 10, 64) // we have written it
		// Per second. systemd counts whole percents, of 10 ms.
		const percent = 10_000
		return "CPUQuotaPerSecUSec", (micros*10 + percent - 1) / percent * percent
	case CPUSet:
		cpus, _ := ParseCPUSet(value) // we have written it
		return "AllowedCPUs", bitmap(cpus)
	}
	return "", nil
}

// bitmap is a set of CPUs as systemd takes it, the lowest in the lowest bit of the first byte.
func bitmap(cpus []int) (bits []byte) {
	for _, cpu := range cpus {
		for len(bits) <= cpu/8 {
			bits = append(bits, 0)
		}
		bits[cpu/8] |= 1 << (cpu % 8)
	}
	return bits
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

func (g *Group) holds(w want) bool {
	for _, f := range w.v2[0] {
		text := read(g.unified + "/" + f.name)
		if text != "" && (f.value == "max" || !strings.HasPrefix(text, "max")) {
			return true
		}
	}
	return false
}
