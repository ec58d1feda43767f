package nvidia

import (
	"path/filepath"
	"slices"
	"strings"

	"tags.cncf.io/container-device-interface/specs-go"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// ForceCompatHook is this program's own hook: the image's CUDA compatibility libraries come first, whatever their version.
const ForceCompatHook = "force-cuda-compat"

// hookSeconds is how long a hook may take: ldconfig reads every library of an image, from a slow disk if it must.
const hookSeconds = 60

// env says truthfully what the container has got: the generator's "void" tells another runtime to keep out.
func (f finisher) env(old []string) []string {
	visible := "void"
	if len(f.uuids) > 0 {
		visible = strings.Join(f.uuids, ",")
	}
	env := slices.DeleteFunc(slices.Clone(old), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "NVIDIA_VISIBLE_DEVICES" || name == "NVIDIA_DRIVER_CAPABILITIES"
	})
	if findLdconfig() == "" {
		// Nobody makes the loader's cache.
		for _, entry := range old {
			if directories, ok := strings.CutPrefix(entry, "NVIDIA_CTK_LIBCUDA_DIR="); ok {
				env = append(env, "LD_LIBRARY_PATH="+directories)
			}
		}
	}
	return append(env, "NVIDIA_VISIBLE_DEVICES="+visible, "NVIDIA_DRIVER_CAPABILITIES="+f.wanted.String())
}

// nodes keeps what a node is, and drops whose: an ordinary user can give a node to nobody.
func (f finisher) nodes(old []*specs.DeviceNode) []*specs.DeviceNode {
	var nodes []*specs.DeviceNode
	seen := map[string]bool{}
	for _, n := range old {
		if seen[n.Path] || strings.HasPrefix(n.Path, "/dev/dri/") && !f.wanted.draws() {
			continue
		}
		seen[n.Path] = true
		host := n.HostPath
		if host == "" {
			host = n.Path
		}
		nodes = append(nodes, &specs.DeviceNode{Path: n.Path, HostPath: host, Permissions: "rw"})
	}
	return nodes
}

// mounts keeps the files of the capabilities that were asked for. Programs of a driver in a directory of its own come to where a
// container's PATH finds them.
func (f finisher) mounts(old []*specs.Mount) []*specs.Mount {
	var mounts []*specs.Mount
	seen := map[string]bool{}
	for _, m := range old {
		if !f.wanted.wants(m.ContainerPath) {
			continue
		}
		kept := &specs.Mount{HostPath: m.HostPath, ContainerPath: m.ContainerPath, Options: m.Options}
		if isProgram(kept.ContainerPath) && !slices.Contains(standardPath, filepath.Dir(kept.ContainerPath)) {
			kept.ContainerPath = "/usr/bin/" + filepath.Base(kept.ContainerPath)
		}
		if seen[kept.ContainerPath] {
			continue
		}
		seen[kept.ContainerPath] = true
		mounts = append(mounts, kept)
	}
	return mounts
}

// programs are those of a driver that a container may run.
var programs = []string{
	"nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server",
	"nvidia-imex", "nvidia-imex-ctl", "nvidia-xconfig",
}

func isProgram(path string) bool { return slices.Contains(programs, filepath.Base(path)) }

// hooks are this program and nothing else, with an environment of their own: an inherited one would be the image's (CVE-2025-23266).
// The loader's cache is made once, when everything else is there.
func (f finisher) hooks(old []*specs.Hook) []*specs.Hook {
	var hooks []*specs.Hook
	var cache *specs.Hook
	if f.compat == gpu.CompatForce {
		hooks = append(hooks, f.hook("createContainer", ForceCompatHook))
	}
	for _, h := range old {
		if len(h.Args) < 2 {
			continue
		}
		name, args := h.Args[1], h.Args[2:]
		if name == "create-symlinks" {
			if args = f.links(args); len(args) == 0 {
				continue
			}
		}
		switch {
		case name != "update-ldcache":
			hooks = append(hooks, f.hook(h.HookName, append([]string{name}, args...)...))
		case cache == nil:
			cache = f.hook(h.HookName, append([]string{name}, args...)...)
		default:
			cache.Args = append(cache.Args, args...)
		}
	}
	if cache != nil {
		hooks = append(hooks, cache)
	}
	return hooks
}

func (f finisher) hook(stage string, args ...string) *specs.Hook {
	seconds := hookSeconds
	return &specs.Hook{
		HookName: stage, Path: f.self, Args: append([]string{f.self, gpu.HookCommand}, args...),
		Env: []string{"PATH=" + strings.Join(standardPath, ":"), "LC_ALL=C"}, Timeout: &seconds,
	}
}

// links keeps those links of a hook's arguments (--link TARGET::PATH) whose files are kept. The generator forgets about some of them
// that a path in the container has no driver root before it.
func (f finisher) links(args []string) []string {
	var kept []string
	for i := 0; i+1 < len(args); i += 2 {
		link := args[i+1]
		if f.root != "/" {
			link = strings.Replace(link, "::"+f.root+"/", "::/", 1)
		}
		if _, path, _ := strings.Cut(link, "::"); strings.HasPrefix(path, "/dev/dri/") && !f.wanted.draws() {
			continue
		}
		if f.wanted.wantsLink(link) {
			kept = append(kept, args[i], link)
		}
	}
	return kept
}
