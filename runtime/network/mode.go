package network

import "fmt"

// Mode says which network a job has.
type Mode string

// The values of --network.
const (
	Host    Mode = "host"    // that of the host
	None    Mode = "none"    // nothing but a loopback device
	Private Mode = "private" // its own, from which the world can be reached
)

// ParseMode reads a value of --network. What docker calls bridge, its default, is a network of the container's own from which
// the world can be reached and to which ports can be published: private is what comes nearest without root.
func ParseMode(text string) (Mode, error) {
	switch text {
	case "", string(Host):
		return Host, nil
	case string(None):
		return None, nil
	case string(Private), "bridge":
		return Private, nil
	}
	return "", fmt.Errorf("%w: --network is host, none or private (bridge means private), not %q: there are no networks that several containers share", ErrOption, text)
}

// Own reports whether the job has a network namespace of its own.
func (m Mode) Own() bool { return m == None || m == Private }

// Config is what the keeper makes. The zero value is the host's network.
type Config struct {
	Mode   Mode   `json:"mode,omitempty"`
	Helper Helper `json:"helper,omitzero"` // private
	Subnet Subnet `json:"subnet,omitzero"` // private
	Ports  []Port `json:"ports,omitempty"`
	Host   Uplink `json:"host,omitzero"` // private
}

// Helper is a program for private networks.
type Helper struct {
	Name string `json:"name"` // Pasta, Slirp
	Path string `json:"path"`
}

// Names of the helpers, which are also those of their programs.
const (
	Pasta = "pasta"
	Slirp = "slirp4netns"
)
