package initproc

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	// Without it every start without a cgroup fails with "cannot set devices limit".
	_ "github.com/opencontainers/cgroups/devices"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// create prepares the container. Who the job is does not concern libcontainer: it runs our init as uid 0 of this user
// namespace, and init gives the job its own.
func (k *keeper) create(user rootfs.User, net *link) (*libcontainer.Container, error) {
	s := ownParts(k.request.Spec.Spec)
	s.Root.Path = rootDir
	s.Linux.Seccomp = nil // loaded by init, after the nested user namespace that it would forbid
	s.Process.User = specs.User{}
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.IPCNamespace }) // ours
	if err := errors.Join(completeDev(devDir, s), addMetrics(devDir, k.request.Metrics), k.mountFiles(s), net.specify(s), k.fence.specify(s)); err != nil {
		return nil, err
	}
	if err := hideWorkshop(s); err != nil {
		return nil, fault{container.FaultMount, err}
	}
	if err := restrainBinds(s); err != nil {
		return nil, fault{container.FaultMount, err}
	}
	if err := readyHooks(s); err != nil {
		return nil, err
	}
	return k.box(s, user)
}

// box is the container of a complete specification.
func (k *keeper) box(s *specs.Spec, user rootfs.User) (*libcontainer.Container, error) {
	needed := k.capabilities(user)
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: needed, Effective: needed, Permitted: needed}
	if err := os.Chdir(workshop); err != nil { // libcontainer takes the working directory for the bundle
		return nil, fmt.Errorf("entering the workshop: %w", err)
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName:      k.request.ID,
		NoNewKeyring:    true,
		Spec:            s,
		RootlessCgroups: true,
	})
	if err != nil {
		return nil, fmt.Errorf("configuring the container: %w", err)
	}
	box, err := libcontainer.Create(stateDir, k.request.ID, config)
	if err != nil {
		return nil, fmt.Errorf("creating the container: %w", err)
	}
	return box, nil
}

// ownParts is a specification whose parts can be changed without changing the request, by which later processes go.
func ownParts(s *specs.Spec) *specs.Spec {
	own, process, root, linux := *s, *s.Process, *s.Root, *s.Linux
	own.Process, own.Root, own.Linux = &process, &root, &linux
	return &own
}

// config is what every process of the container has in common.
func (k *keeper) config(user rootfs.User, groups []uint32) container.InitConfig {
	return container.InitConfig{
		Nested: k.nested(user), Switch: k.mapped(), UID: user.UID, GID: user.GID, Groups: groups,
		Capabilities: spec.CapabilityMask(k.left(user)), NewPrivileges: !k.request.Spec.Process.NoNewPrivileges,
		Filter: k.request.Filter, CPUs: k.request.CPUs, Rlimits: k.request.Rlimits,
	}
}

// environment is the job's.
func (k *keeper) environment(user rootfs.User) []string {
	if !k.request.SetHome {
		return k.request.Env
	}
	env := slices.DeleteFunc(slices.Clone(k.request.Env), func(v string) bool { return strings.HasPrefix(v, "HOME=") })
	return append(env, "HOME="+user.Home)
}

// laterEnvironment is that of further processes: a socket that only the job has inherited is not theirs.
func (k *keeper) laterEnvironment(user rootfs.User) []string {
	env := k.environment(user)
	if k.launcher == nil {
		return env
	}
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, container.LauncherVariable+"=") })
}

// first is the container's first process.
func (k *keeper) first(user rootfs.User) (*libcontainer.Process, error) {
	if k.holds() {
		return k.holdProcess(user)
	}
	return k.process(user)
}

// process is PID 1: this very binary, which libcontainer has sealed against being written by the container.
func (k *keeper) process(user rootfs.User) (*libcontainer.Process, error) {
	c := k.config(user, k.groups)
	c.TTY, c.NoInit, c.Args, c.Env = k.request.Terminal != nil, k.request.NoInit, k.request.Args, k.environment(user)
	c.Fence, c.Passed, c.Launcher = k.fence != nil, k.request.Passed, k.launcher != nil
	// What takes a namespace or more rights than a job has comes before a filter.
	c.Filtered = k.request.Own && !c.NoInit && !c.Nested && !c.Switch && !c.Fence && !c.NewPrivileges
	config, err := c.Encode()
	if err != nil {
		return nil, err
	}
	memfd, err := sys.Memfd("init-config", config)
	if err != nil {
		return nil, err
	}
	noNewPrivileges := k.request.Spec.Process.NoNewPrivileges
	process := &libcontainer.Process{
		Args:            []string{"/proc/self/exe", container.InitArg},
		Env:             []string{"HOME=/"}, // else libcontainer reads the image's passwd file, be it a link to what never ends
		Cwd:             k.request.Spec.Process.Cwd,
		Init:            true,
		NoNewPrivileges: &noNewPrivileges,
		ExtraFiles:      []*os.File{k.forwarded[0], memfd},
	}
	if k.fence != nil {
		process.ExtraFiles = append(process.ExtraFiles, k.fence.user)
	}
	if k.launcher != nil {
		process.ExtraFiles = append(process.ExtraFiles, k.launcher)
	}
	if size := k.request.Terminal; size != nil {
		process.ConsoleSocket = k.forwarded[1]
		process.ConsoleHeight, process.ConsoleWidth = size.Rows, size.Cols
		return process, nil
	}
	process.Stdin, process.Stdout, process.Stderr = k.forwarded[1], k.forwarded[2], k.forwarded[3]
	return process, nil
}

// closeForwarded gives up what now belongs to init alone: as long as the keeper holds a copy, nobody sees an end of file.
func (k *keeper) closeForwarded() {
	for _, file := range k.forwarded {
		_ = file.Close() // held for passing on only
	}
	_ = k.launcher.Close() // as nil it is refused
}
