package cdi

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Apart has a driver's libraries and programs in a directory of their own, to be found by LD_LIBRARY_PATH and PATH, where the user
// mounts something over the places in which they belong, or over the loader's cache: hooks would write their links and that cache
// into the user's directories, or could not write them. Covered are the targets of those mounts; names are those that a library
// has on the host beside its own, by which programs look for it. Where nothing is in the way, d is returned as it is, and dir is empty.
func Apart(d spec.Devices, covered []string, names func(file string) []string) (apart spec.Devices, dir string) {
	hidden := func(p string) bool {
		return slices.ContainsFunc(covered, func(target string) bool { return within(p, target) })
	}
	if !hidden("/etc/ld.so.cache") && !slices.ContainsFunc(d.Mounts, func(m specs.Mount) bool { return isLibrary(m) && hidden(m.Destination) }) {
		return d, ""
	}
	at := slices.IndexFunc(privateDirs, func(p string) bool { return !hidden(p) })
	if at < 0 {
		return d, ""
	}
	m := mover{dir: privateDirs[at], links: links(d.Hooks), names: names}
	apart = spec.Devices{Nodes: d.Nodes, Env: slices.Clone(d.Env), Hooks: withoutWriters(d.Hooks)}
	for _, mount := range d.Mounts {
		switch {
		case isLibrary(mount):
			apart.Mounts = append(apart.Mounts, m.library(mount)...)
		case isProgram(mount):
			apart.Mounts = append(apart.Mounts, m.program(mount))
		case !hidden(mount.Destination):
			apart.Mounts = append(apart.Mounts, mount)
		}
	}
	if len(m.libraries) > 0 {
		apart.Env = append(apart.Env, "LD_LIBRARY_PATH="+strings.Join(m.libraries, ":"))
	}
	if len(m.programs) > 0 {
		apart.Env = append(apart.Env, "PATH="+strings.Join(m.programs, ":"))
	}
	return apart, m.dir
}

// privateDirs are where the driver goes; which of them it is matters to nobody.
var privateDirs = []string{"/run/coracle/driver", "/opt/coracle/driver", "/coracle/driver"}

// within reports whether a path is a directory or lies below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

func isLibrary(m specs.Mount) bool {
	base := path.Base(m.Destination)
	return strings.HasPrefix(base, "lib") && (strings.HasSuffix(base, ".so") || strings.Contains(base, ".so."))
}

func isProgram(m specs.Mount) bool {
	dir := path.Base(path.Dir(m.Destination))
	return dir == "bin" || dir == "sbin"
}

// mover moves mounts below a directory, where each keeps its path.
type mover struct {
	dir                 string
	links               map[string][]string // by what they lead to, both without directories
	names               func(string) []string
	libraries, programs []string // directories
}

// library is one by every name that it has: links cannot be mounted.
func (m *mover) library(mount specs.Mount) (mounts []specs.Mount) {
	dir := m.dir + path.Dir(mount.Destination)
	if !slices.Contains(m.libraries, dir) {
		m.libraries = append(m.libraries, dir)
	}
	names := []string{path.Base(mount.Destination)}
	for _, name := range m.names(mount.Source) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := 0; i < len(names); i++ { // which grows
		for _, name := range m.links[names[i]] {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		moved := mount
		moved.Destination = path.Join(dir, name)
		mounts = append(mounts, moved)
	}
	return mounts
}

func (m *mover) program(mount specs.Mount) specs.Mount {
	mount.Destination = m.dir + mount.Destination
	if dir := path.Dir(mount.Destination); !slices.Contains(m.programs, dir) {
		m.programs = append(m.programs, dir)
	}
	return mount
}

// writers are the hooks of NVIDIA's toolkit that write links and lists of libraries.
var writers = []string{"create-symlinks", "update-ldcache", "enable-cuda-compat", "force-cuda-compat"}

// isWriter tells one of them by its arguments: PROGRAM __cdi-hook NAME ...
func isWriter(h specs.Hook) bool {
	return len(h.Args) > 2 && h.Args[1] == gpu.HookCommand && slices.Contains(writers, h.Args[2])
}

// links are those that hooks would make: --link TARGET::PATH.
func links(h *specs.Hooks) map[string][]string {
	found := map[string][]string{}
	if h == nil {
		return found
	}
	for _, hook := range h.CreateContainer {
		if !isWriter(hook) {
			continue
		}
		for _, arg := range hook.Args {
			if target, link, ok := strings.Cut(arg, "::"); ok {
				target = path.Base(target)
				found[target] = append(found[target], path.Base(link))
			}
		}
	}
	return found
}

// withoutWriters leaves out hooks that would write where they must not.
func withoutWriters(h *specs.Hooks) *specs.Hooks {
	if h == nil {
		return nil
	}
	kept := *h
	kept.CreateContainer = slices.DeleteFunc(slices.Clone(h.CreateContainer), isWriter)
	return &kept
}
