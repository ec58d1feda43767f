package record

// Names is what was asked for of the job's /etc/resolv.conf and /etc/hosts.
type Names struct {
	Resolvers []string `json:"dns,omitempty"`
	Search    []string `json:"dns_search,omitempty"`
	Hosts     []string `json:"add_hosts,omitempty"` // NAME:ADDRESS or NAME:host-gateway
}

// Private is how a job with a network of its own reaches the world, and is reached.
type Private struct {
	Helper  Helper `json:"helper"`
	Subnet  string `json:"subnet"`  // CIDR
	Address string `json:"address"` // the job's own IPv4 address
	Ports   []Port `json:"ports"`
}

// Helper is the program that connects a private network.
type Helper struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Version string `json:"version"`
}

// Port is a port of the job's that was published on the host.
type Port struct {
	HostIP   string `json:"host_ip,omitempty"` // empty: all addresses
	Host     uint16 `json:"host"`
	Inside   uint16 `json:"inside"`
	Protocol string `json:"protocol"` // tcp, udp
}
