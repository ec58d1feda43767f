package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Devices is what a container needs to use some of the host's.
type Devices struct {
	Nodes  []Node
	Mounts []specs.Mount // binds, of drivers' libraries and the like
	Env    []string      // NAME=VALUE; see AddDevices
	Hooks  *specs.Hooks  // each has variables of its own and a limit in time; nil: none
}

// Node is a device file.
type Node struct {
	Source string // on the host
	Target string // in the container, below /dev
}

// AddDevices lets a container use devices. Device files are mounted: in a user namespace nobody can make one. They are the only
// mounts on which a device is one. Where the user mounts something, that stays; where the user sets a variable, of those that are
// given, so does its value. Of search paths, the device's come before what there is.
func AddDevices(s *specs.Spec, d Devices, given []string) {
	taken := map[string]bool{}
	for _, name := range owned {
		taken[name] = true
	}
	for _, m := range s.Mounts {
		taken[m.Destination] = true
	}
	mounts := slices.Clone(d.Mounts)
	for _, n := range d.Nodes {
		mounts = append(mounts, specs.Mount{Destination: n.Target, Type: "bind", Source: n.Source, Options: []string{"bind", "nosuid", "noexec", "rprivate"}})
	}
	for _, m := range mounts {
		if !taken[m.Destination] {
			taken[m.Destination] = true
			s.Mounts = append(s.Mounts, m)
		}
	}
	for _, v := range d.Env {
		if name, _, _ := strings.Cut(v, "="); !hasVariable(given, name) || slices.Contains(searchPaths, name) {
			s.Process.Env = setVariable(s.Process.Env, v)
		}
	}
	addHooks(s, d.Hooks)
}

// searchPaths are variables whose values add up.
var searchPaths = []string{"PATH", "LD_LIBRARY_PATH"}

func hasVariable(env []string, name string) bool {
	return slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
}

// setVariable returns the environment with a variable in its place, or behind the others.
func setVariable(env []string, v string) []string {
	name, value, _ := strings.Cut(v, "=")
	at := slices.IndexFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
	if at < 0 {
		return append(env, v)
	}
	if old := env[at][len(name)+1:]; slices.Contains(searchPaths, name) && old != "" {
		v = name + "=" + value + ":" + old
	}
	env = slices.Clone(env)
	env[at] = v
	return env
}

func addHooks(s *specs.Spec, more *specs.Hooks) {
	if more == nil {
		return
	}
	if s.Hooks == nil {
		s.Hooks = &specs.Hooks{}
	}
	s.Hooks.CreateRuntime = append(s.Hooks.CreateRuntime, more.CreateRuntime...)
	s.Hooks.CreateContainer = append(s.Hooks.CreateContainer, more.CreateContainer...)
	s.Hooks.StartContainer = append(s.Hooks.StartContainer, more.StartContainer...)
	s.Hooks.Poststart = append(s.Hooks.Poststart, more.Poststart...)
	s.Hooks.Poststop = append(s.Hooks.Poststop, more.Poststop...)
}

// ParseNode reads SOURCE[:TARGET][:ACCESS], a device as docker's --device takes it. Access is what of rwm is asked for; "": nothing
// was said.
func ParseNode(text string) (n Node, access string, err error) {
	parts := strings.Split(text, ":")
	if len(parts) > 1 && isAccess(parts[len(parts)-1]) {
		access = parts[len(parts)-1]
		parts = parts[:len(parts)-1]
	}
	n = Node{Source: parts[0], Target: parts[len(parts)-1]}
	switch {
	case len(parts) > 2:
		return n, "", fmt.Errorf("%w: --device %s: write /dev/x, /dev/x:/dev/y or VENDOR/CLASS=NAME", ErrOption, text)
	case !path.IsAbs(n.Source) || strings.ContainsAny(text, "\n\x00"):
		return n, "", fmt.Errorf("%w: --device %q is no absolute path, no VENDOR/CLASS=NAME, and not %s", ErrOption, text, InfiniBand)
	}
	n.Source, n.Target = path.Clean(n.Source), path.Clean(n.Target)
	if !strings.HasPrefix(n.Target, "/dev/") || slices.Contains(reserved, n.Target) {
		return n, "", fmt.Errorf("%w: --device %s: in the container a device lies below /dev", ErrOption, text)
	}
	if slices.Contains(owned, n.Target) && n.Source != n.Target {
		return n, "", fmt.Errorf("%w: --device %s: the container has a %s of its own", ErrOption, text, n.Target)
	}
	return n, access, nil
}

// owned are what every container has in its /dev: the device of the host that is called so is no other.
var owned = []string{
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/console", "/dev/ptmx",
	"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/core", "/dev/coracle",
}

// InfiniBand is the value of --device for the devices of remote memory access.
const InfiniBand = "infiniband"

func isAccess(text string) bool { return text != "" && strings.Trim(text, "rwm") == "" }

// JoinDevices is what all of several devices need; those that come later count where two say the same.
func JoinDevices(list ...Devices) (all Devices) {
	for _, d := range list {
		for _, n := range d.Nodes {
			if !slices.Contains(all.Nodes, n) {
				all.Nodes = append(all.Nodes, n)
			}
		}
		all.Mounts = append(all.Mounts, d.Mounts...)
		all.Env = append(all.Env, d.Env...)
		if d.Hooks != nil {
			s := &specs.Spec{Hooks: all.Hooks}
			addHooks(s, d.Hooks)
			all.Hooks = s.Hooks
		}
	}
	return all
}
