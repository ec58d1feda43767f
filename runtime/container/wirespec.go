package container

import (
	"encoding/json"
	"reflect"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Spec is a specification on its way to the keeper. The specification's own JSON takes both sides half a millisecond at its
// first use, because package encoding/json studies all its types, those for Windows with the rest. What Coracle usually says
// fits a brief form; a specification that says more goes in full.
type Spec struct{ *specs.Spec }

// brief is what package spec fills in of a specification. The process's arguments and variables travel apart.
type brief struct {
	Version      string       `json:"version,omitempty"`
	Hostname     string       `json:"hostname,omitempty"`
	Cwd          string       `json:"cwd,omitempty"`
	Terminal     bool         `json:"terminal,omitempty"`
	NoNewPrivs   bool         `json:"no_new_privs,omitempty"`
	ReadOnly     bool         `json:"read_only,omitempty"`
	Capabilities []string     `json:"capabilities"`
	Namespaces   []string     `json:"namespaces"`
	Propagation  string       `json:"propagation,omitempty"`
	Masked       []string     `json:"masked"`
	Protected    []string     `json:"protected"` // read-only paths
	Mounts       []briefMount `json:"mounts"`
}

// briefMount has bytes for paths, which need not be UTF-8: in JSON's strings what is not would change.
type briefMount struct {
	Destination []byte   `json:"destination"`
	Type        string   `json:"type"`
	Source      []byte   `json:"source"`
	Options     []string `json:"options"`
}

// Of the two one is there.
type (
	briefly struct {
		Brief *brief `json:"brief"`
	}
	fully struct {
		Full *specs.Spec `json:"full"`
	}
)

// MarshalJSON implements json.Marshaler.
func (s Spec) MarshalJSON() ([]byte, error) {
	if b, ok := abridge(s.Spec); ok {
		return json.Marshal(briefly{&b})
	}
	return json.Marshal(fully{s.Spec})
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Spec) UnmarshalJSON(text []byte) error {
	var b briefly
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	if b.Brief != nil {
		s.Spec = b.Brief.expand()
		return nil
	}
	var f fully
	err := json.Unmarshal(text, &f)
	s.Spec = f.Full
	return err
}

// abridge is the brief form; false: it would not be the whole.
func abridge(s *specs.Spec) (b brief, ok bool) {
	if s.Process == nil || s.Root == nil || s.Linux == nil || s.Process.Capabilities == nil {
		return b, false
	}
	b = brief{
		Version: s.Version, Hostname: s.Hostname, Cwd: s.Process.Cwd, Terminal: s.Process.Terminal,
		NoNewPrivs: s.Process.NoNewPrivileges, ReadOnly: s.Root.Readonly, Capabilities: s.Process.Capabilities.Bounding,
		Propagation: s.Linux.RootfsPropagation, Masked: s.Linux.MaskedPaths, Protected: s.Linux.ReadonlyPaths,
	}
	for _, n := range s.Linux.Namespaces {
		b.Namespaces = append(b.Namespaces, string(n.Type))
	}
	for _, m := range s.Mounts {
		b.Mounts = append(b.Mounts, briefMount{Destination: []byte(m.Destination), Type: m.Type, Source: []byte(m.Source), Options: m.Options})
	}
	return b, reflect.DeepEqual(b.expand(), s)
}

// expand is the specification that a brief form stands for.
func (b brief) expand() *specs.Spec {
	held := b.Capabilities
	s := &specs.Spec{
		Version: b.Version, Hostname: b.Hostname,
		Process: &specs.Process{
			Cwd: b.Cwd, Terminal: b.Terminal, NoNewPrivileges: b.NoNewPrivs,
			Capabilities: &specs.LinuxCapabilities{Bounding: held, Effective: held, Permitted: held},
		},
		Root:  &specs.Root{Readonly: b.ReadOnly},
		Linux: &specs.Linux{RootfsPropagation: b.Propagation, MaskedPaths: b.Masked, ReadonlyPaths: b.Protected},
	}
	for _, n := range b.Namespaces {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(n)})
	}
	for _, m := range b.Mounts {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: string(m.Destination), Type: m.Type, Source: string(m.Source), Options: m.Options})
	}
	return s
}
