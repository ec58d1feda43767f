// Package spec assembles the OCI runtime specification of a container from three things: the image's configuration, what the
// user asked for, and what the host has. It is pure; it reads no file and makes no system call.
//
// A specification is built by a list of modifiers, each of which owns one concern (the process, its mounts, ...). A new
// concern is a new modifier in the list.
package spec

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Options is what the user asked for. The zero value is a container as the image has it.
type Options struct {
	Process
	Filesystem
	Security
	Resources
	Hostname   string
	OwnNetwork bool // not the host's
}

// Process says what runs, and as what.
type Process struct {
	Args       []string // after the image's name; instead of the image's CMD
	Entrypoint *string  // instead of the image's ENTRYPOINT; "" for none; nil: the image's
	Workdir    string   // "": the image's
	Env        []string // NAME=VALUE, over everything else, later ones over earlier ones
	Inherited  []string // NAME=VALUE of the caller that a job needs (the scheduler's), over the image's
	TTY        bool
}

// Filesystem says what the job sees as its files.
type Filesystem struct {
	Volumes  []Volume
	Secrets  bool  // there are some, see SecretsDir
	ReadOnly bool  // the root file system
	ShmBytes int64 // size of /dev/shm
}

// Security says what more a job may than usual. The zero value is nothing.
type Security struct {
	BaseCapabilities                  []string // what root has to begin with
	AddCapabilities, DropCapabilities []string // as docker names them, see Capabilities
	NewPrivileges                     bool     // programs may gain privileges when they are executed
}

// Host is what a specification depends on of the machine.
type Host struct {
	CgroupV2         bool // the unified hierarchy alone, not a hybrid
	CgroupNamespaces bool
}

// Modifier adds one concern to a specification.
type Modifier func(*specs.Spec) error

// New is the specification of a container. Its root path and user are left to the runtime, which resolves them inside the
// image. Errors wrap ErrImage when the image's configuration is at fault and ErrOption when an option is.
func New(image ocispec.ImageConfig, o Options, h Host) (*specs.Spec, error) {
	s := &specs.Spec{
		Version:  specs.Version,
		Process:  &specs.Process{},
		Root:     &specs.Root{},
		Linux:    &specs.Linux{},
		Hostname: o.Hostname,
	}
	for _, modify := range []Modifier{
		namespaces(h, o.OwnNetwork),
		protection(o.Security),
		process(image, o.Process),
		environment(image, o),
		systemMounts(h, o.ShmBytes),
		volumes(o.Filesystem),
		resources(o.Resources),
	} {
		if err := modify(s); err != nil {
			return nil, fmt.Errorf("preparing the container: %w", err)
		}
	}
	return s, nil
}
