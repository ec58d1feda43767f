package spec

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Kinds of volume.
const (
	Bind  = "bind"   // a directory or file of the host
	Tmpfs = "tmpfs"  // memory
	Named = "volume" // what Coracle keeps under a name or, without one, for as long as the run lasts
	Image = "image"  // the files of another image, read-only
)

// Volume is one mount of the user's.
type Volume struct {
	Type     string // one of the kinds
	Source   string // bind: absolute path on the host; volume, image: its name
	Target   string // absolute path in the container
	ReadOnly bool
	Subpath  string // volume, image: what of it is mounted, relative; "": all

	Propagation string    // bind: private, rprivate, slave, rslave; "": rprivate
	Recursive   Recursive // bind

	SizeBytes int64    // tmpfs; 0: half of the memory, as the kernel has it
	Mode      uint32   // tmpfs: permission bits; 0: 1777
	Options   []string // tmpfs: further ones, for the kernel

	NoCopy bool     // volume: an empty one stays so, whatever the image has at Target
	Labels []string // volume: KEY=VALUE, if it is made

}

// Recursive says what becomes of what is mounted below the source of a bind, as docker's bind-recursive.
type Recursive string

// The values of Recursive.
const (
	Enabled  Recursive = "enabled"  // it comes along, and is read-only with the rest; so does ""
	Disabled Recursive = "disabled" // it does not
	Writable Recursive = "writable" // it comes along, and only the top is read-only
	Strict   Recursive = "readonly" // as Enabled, which fails where it cannot be
)

// propagations are those that an ordinary user's mount namespace can honour: what is mounted inside never shows outside.
var propagations = []string{"private", "rprivate", "slave", "rslave"}

// ByDepth has mounts with fewer components in their targets come first, so that none covers another one's target. Of the same depth
// they keep their order.
func ByDepth(volumes []Volume) []Volume {
	depth := func(v Volume) int { return strings.Count(path.Clean(v.Target), "/") }
	return slices.SortedStableFunc(slices.Values(volumes), func(a, b Volume) int { return cmp.Compare(depth(a), depth(b)) })
}

// reserved are the places that belong to the runtime.
var reserved = []string{"/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/mqueue"}

func (v Volume) check() error {
	if !path.IsAbs(v.Target) {
		return fmt.Errorf("%w: volume target %q must be an absolute path", ErrOption, v.Target)
	}
	for _, place := range reserved {
		if v.Target == place || (place == "/proc" || place == "/sys") && strings.HasPrefix(v.Target, place+"/") {
			return fmt.Errorf("%w: nothing can be mounted on %s: it belongs to the runtime", ErrOption, v.Target)
		}
	}
	if strings.ContainsAny(v.Source+v.Target+v.Subpath, "\n\x00") {
		return fmt.Errorf("%w: a line break cannot be part of a volume's path: %q on %q", ErrOption, v.Source, v.Target)
	}
	return nil
}

// mount never lets a file of the host act as set-user-ID program or as device inside.
func (v Volume) mount() specs.Mount {
	if v.Type == Tmpfs {
		return v.tmpfs()
	}
	options := []string{"nosuid", "nodev"}
	if v.ReadOnly && v.Recursive != Writable {
		options = append(options, "ro")
	}
	bind := "rbind"
	if v.Recursive == Disabled {
		bind = "bind"
	} else {
		options = recursive(options...)
	}
	if v.ReadOnly && v.Recursive == Writable {
		options = append(options, "ro")
	}
	source := v.Source
	if v.Type != Bind {
		source = "" // see SetSource
	}
	return specs.Mount{Destination: v.Target, Type: "bind", Source: source, Options: append(options, bind, cmp.Or(v.Propagation, "rprivate"))}
}

// SetSource says where the files are of a volume that is none of the host's directories. Until then its mount has no source.
func SetSource(s *specs.Spec, target, source string) {
	for i, m := range s.Mounts {
		if m.Destination == target && m.Type == "bind" && m.Source == "" {
			s.Mounts[i].Source = source
		}
	}
}

func (v Volume) tmpfs() specs.Mount {
	options := []string{"nosuid", "nodev"}
	if v.SizeBytes > 0 {
		options = append(options, fmt.Sprintf("size=%d", v.SizeBytes))
	}
	if v.ReadOnly {
		options = append(options, "ro")
	}
	options = append(options, fmt.Sprintf("mode=%04o", cmp.Or(v.Mode, 0o1777)))
	return specs.Mount{Destination: v.Target, Type: "tmpfs", Source: "tmpfs", Options: append(options, v.Options...)}
}

func absolute(p, cwd string) string {
	if !filepath.IsAbs(p) {
		p = filepath.Join(cwd, p)
	}
	return filepath.Clean(p)
}
