package cdi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	cdi "tags.cncf.io/container-device-interface/specs-go"

	"github.com/coracle-run/coracle/runtime/spec"
)

// hookSeconds is how long a hook may take that does not say so itself, and mostSeconds one that does.
const (
	hookSeconds = 60
	mostSeconds = 600
)

// hookPath is a hook's PATH unless it has its own. It is never without a variable: libcontainer gives a hook that has none the
// job's, among them LD_PRELOAD as the image likes it (CVE-2025-23266).
const hookPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func addHook(d *spec.Devices, h cdi.Hook) error {
	if !isPath(h.Path) {
		return fmt.Errorf("hook %q: no absolute path", h.Path)
	}
	seconds := hookSeconds
	if h.Timeout != nil && *h.Timeout > 0 {
		seconds = min(*h.Timeout, mostSeconds)
	}
	hook := specs.Hook{Path: h.Path, Args: h.Args, Env: slices.Clone(h.Env), Timeout: &seconds}
	if len(hook.Args) == 0 {
		hook.Args = []string{h.Path}
	}
	for _, v := range hook.Env {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			return fmt.Errorf("hook %s: %q is no variable", h.Path, v)
		}
	}
	if !slices.ContainsFunc(hook.Env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }) {
		hook.Env = append(hook.Env, hookPath)
	}
	return place(d, h.HookName, hook)
}

// place puts a hook where its name says that it belongs.
func place(d *spec.Devices, name string, hook specs.Hook) error {
	if d.Hooks == nil {
		d.Hooks = &specs.Hooks{}
	}
	switch name {
	case "createRuntime", "prestart": // the same moment; the latter is its older name
		d.Hooks.CreateRuntime = append(d.Hooks.CreateRuntime, hook)
	case "createContainer":
		d.Hooks.CreateContainer = append(d.Hooks.CreateContainer, hook)
	case "startContainer":
		d.Hooks.StartContainer = append(d.Hooks.StartContainer, hook)
	case "poststart":
		d.Hooks.Poststart = append(d.Hooks.Poststart, hook)
	case "poststop":
		d.Hooks.Poststop = append(d.Hooks.Poststop, hook)
	default:
		return fmt.Errorf("hook %s: %q is no moment for one", hook.Path, name)
	}
	return nil
}
