package cdi

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	cdi "tags.cncf.io/container-device-interface/specs-go"

	"github.com/coracle-run/coracle/runtime/spec"
)

// Own is what all devices of a specification change that our own helper has made.
func Own(text json.RawMessage) (spec.Devices, error) {
	s, err := parse(text)
	if err != nil {
		return spec.Devices{}, err
	}
	edits := []cdi.ContainerEdits{s.ContainerEdits}
	for _, d := range s.Devices {
		edits = append(edits, d.ContainerEdits)
	}
	return convert(edits)
}

// newest is the version of the interface that is known here; a specification of a later minor version may ask for what is not.
const newest = "1.1"

func parse(text []byte) (s cdi.Spec, err error) {
	if err = json.Unmarshal(text, &s); err == nil {
		err = check(s)
	}
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	return s, nil
}

// check looks at what a specification says of itself.
func check(s cdi.Spec) error {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(s.Version, "%d.%d.%d", &major, &minor, &patch); n < 2 || major > 1 || major == 1 && minor > 1 {
		return fmt.Errorf("it is of version %q, and %s is the newest that is known", s.Version, newest)
	}
	if vendor, class, ok := strings.Cut(s.Kind, "/"); !ok || !isWord(vendor) || !isWord(class) {
		return fmt.Errorf("kind %q is no VENDOR/CLASS", s.Kind)
	}
	return nil
}

// convert joins edits, in their order, to what a container needs.
func convert(edits []cdi.ContainerEdits) (d spec.Devices, err error) {
	for _, e := range edits {
		if err := add(&d, e); err != nil {
			return spec.Devices{}, fmt.Errorf("%w: %w", ErrSpec, err)
		}
	}
	return d, nil
}

func add(d *spec.Devices, e cdi.ContainerEdits) error {
	if len(e.NetDevices) > 0 {
		return fmt.Errorf("it moves the network device %s, which takes root", e.NetDevices[0].HostInterfaceName)
	}
	if e.IntelRdt != nil {
		return fmt.Errorf("it asks for Intel's resource director, which takes root")
	}
	for _, v := range e.Env {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" || strings.ContainsRune(v, 0) {
			return fmt.Errorf("%q is no variable", v)
		}
		d.Env = append(d.Env, v)
	}
	for _, n := range e.DeviceNodes {
		if n == nil {
			continue
		}
		if err := addNode(d, *n); err != nil {
			return err
		}
	}
	for _, m := range e.Mounts {
		if m == nil {
			continue
		}
		if err := addMount(d, *m); err != nil {
			return err
		}
	}
	for _, h := range e.Hooks {
		if h == nil {
			continue
		}
		if err := addHook(d, *h); err != nil {
			return err
		}
	}
	return nil
}

func addNode(d *spec.Devices, n cdi.DeviceNode) error {
	node := spec.Node{Source: n.HostPath, Target: n.Path}
	if node.Source == "" {
		node.Source = n.Path
	}
	switch {
	case !isPath(node.Source):
		return fmt.Errorf("device %q: no absolute path", node.Source)
	case !isPath(node.Target) || !strings.HasPrefix(path.Clean(node.Target), "/dev/"):
		return fmt.Errorf("device %q: its place is not below /dev", node.Target)
	}
	node.Source, node.Target = path.Clean(node.Source), path.Clean(node.Target)
	if !slices.Contains(d.Nodes, node) {
		d.Nodes = append(d.Nodes, node)
	}
	return nil
}

// dropped are the options of mounts that an ordinary user cannot have, or must not.
var dropped = []string{"idmap", "ridmap", "suid", "dev", "shared", "rshared", "remount"}

func addMount(d *spec.Devices, m cdi.Mount) error {
	if m.Type != "" && m.Type != "bind" && m.Type != "none" {
		return fmt.Errorf("mount %s: of type %q, and only binds can be made", m.ContainerPath, m.Type)
	}
	if !isPath(m.HostPath) || !isPath(m.ContainerPath) {
		return fmt.Errorf("mount of %q on %q: both must be absolute paths", m.HostPath, m.ContainerPath)
	}
	options := slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool {
		name, _, _ := strings.Cut(o, "=")
		return slices.Contains(dropped, name)
	})
	for _, needed := range []string{"nosuid", "nodev"} {
		if !slices.Contains(options, needed) {
			options = append(options, needed)
		}
	}
	if !slices.Contains(options, "bind") && !slices.Contains(options, "rbind") {
		options = append(options, "rbind")
	}
	mount := specs.Mount{Destination: path.Clean(m.ContainerPath), Type: "bind", Source: path.Clean(m.HostPath), Options: options}
	at := slices.IndexFunc(d.Mounts, func(other specs.Mount) bool { return other.Destination == mount.Destination })
	if at >= 0 {
		d.Mounts[at] = mount // the later one would cover it
		return nil
	}
	d.Mounts = append(d.Mounts, mount)
	return nil
}

// isPath tells an absolute path without what no mount can have in it.
func isPath(p string) bool { return path.IsAbs(p) && !strings.ContainsAny(p, "\n\x00") }
