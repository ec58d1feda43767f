package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Port is a port of the container that is published on the host.
type Port struct {
	HostIP   netip.Addr `json:"host_ip,omitzero"` // the zero value: all addresses of the host, IPv4 and IPv6
	Host     uint16     `json:"host"`             // 0: any that is free, up to Reserve
	Last     uint16     `json:"-"`                // when not 0: any from Host to here, up to Reserve
	Inside   uint16     `json:"inside"`
	Protocol string     `json:"protocol"` // tcp, udp
}

// String is the port as docker shows it.
func (p Port) String() string {
	host := p.address()
	if host == "" {
		host = "*"
	} else if p.HostIP.Is6() {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s:%d->%d/%s", host, p.Host, p.Inside, p.Protocol)
}

func (p Port) address() string {
	if !p.HostIP.IsValid() {
		return ""
	}
	return p.HostIP.String()
}

// mostPorts bounds what one range can ask for; each port is a socket of the helper.
const mostPorts = 1024

// ParsePorts reads values of --publish and refuses those that want one port of the host twice.
func ParsePorts(texts []string) ([]Port, error) {
	var ports []Port
	for _, text := range texts {
		more, err := parsePort(text)
		if err != nil {
			return nil, fmt.Errorf("%w: --publish %s: %w", ErrOption, text, err)
		}
		if ports = append(ports, more...); len(ports) > mostPorts {
			return nil, fmt.Errorf("%w: --publish: more than %d ports", ErrOption, mostPorts)
		}
	}
	for i, p := range ports {
		for _, other := range ports[:i] {
			if p.clashes(other) {
				return nil, fmt.Errorf("%w: --publish: port %d/%s of the host is asked for twice, for %d and %d of the container", ErrOption, p.Host, p.Protocol, other.Inside, p.Inside)
			}
		}
	}
	return ports, nil
}

// clashes reports whether two ports need one of the host's.
func (p Port) clashes(other Port) bool {
	if p.Host == 0 || p.Host != other.Host || p.Last != 0 || other.Last != 0 || p.Protocol != other.Protocol {
		return false
	}
	if !p.HostIP.IsValid() || !other.HostIP.IsValid() || p.HostIP == other.HostIP {
		return true
	}
	return p.HostIP.Is4() == other.HostIP.Is4() && (p.HostIP.IsUnspecified() || other.HostIP.IsUnspecified())
}

// parsePort reads docker's [[IP:][HOST]:]CONTAINER[/PROTOCOL], where an IPv6 address stands in brackets and HOST and CONTAINER may
// be ranges.
func parsePort(text string) ([]Port, error) {
	text, protocol, _ := strings.Cut(text, "/")
	protocol = cmp.Or(strings.ToLower(protocol), "tcp")
	if protocol != "tcp" && protocol != "udp" {
		return nil, fmt.Errorf("protocol %q: tcp and udp can be published", protocol)
	}
	ip, host, inside, err := splitPort(text)
	if err != nil {
		return nil, err
	}
	first, last, err := parseRange(inside)
	if err != nil {
		return nil, fmt.Errorf("port of the container: %w", err)
	}
	port := Port{HostIP: ip, Protocol: protocol}
	if host == "" {
		return port.spread(0, 0, first, last), nil
	}
	hostFirst, hostLast, err := parseRange(host)
	if err != nil {
		return nil, fmt.Errorf("port of the host: %w", err)
	}
	switch {
	case hostLast-hostFirst == last-first:
		return port.spread(hostFirst, 1, first, last), nil
	case first == last:
		port.Host, port.Last, port.Inside = hostFirst, hostLast, first
		return []Port{port}, nil
	}
	return nil, fmt.Errorf("%d ports of the host for %d of the container", int(hostLast-hostFirst)+1, int(last-first)+1)
}

// spread is one port for each of a range inside; those of the host begin at a number and go up by step.
func (p Port) spread(host, step, first, last uint16) []Port {
	var ports []Port
	for inside := int(first); inside <= int(last); inside++ {
		p.Host, p.Inside = host+step*(uint16(inside)-first), uint16(inside)
		ports = append(ports, p)
	}
	return ports
}

// splitPort takes the three parts apart.
func splitPort(text string) (ip netip.Addr, host, inside string, err error) {
	address := ""
	if rest, bracketed := strings.CutPrefix(text, "["); bracketed {
		var found bool
		if address, text, found = strings.Cut(rest, "]:"); !found {
			return ip, "", "", fmt.Errorf("an IPv6 address is written [ADDRESS]:HOST:CONTAINER")
		}
		if !strings.Contains(text, ":") {
			return ip, "", "", fmt.Errorf("an address is followed by HOST:CONTAINER, or by :CONTAINER")
		}
	}
	parts := strings.Split(text, ":")
	switch {
	case len(parts) == 1:
		return ip, "", parts[0], nil
	case len(parts) == 2:
		host, inside = parts[0], parts[1]
	case len(parts) == 3 && address == "":
		address, host, inside = parts[0], parts[1], parts[2]
	default:
		return ip, "", "", fmt.Errorf("write [IP:]HOST:CONTAINER, with an IPv6 address in brackets")
	}
	if address != "" {
		if ip, err = netip.ParseAddr(address); err != nil || ip.Zone() != "" {
			return ip, "", "", fmt.Errorf("%q is no address: a host's own IPv4 or [IPv6] address is meant", address)
		}
		ip = ip.Unmap()
	}
	return ip, host, inside, nil
}

// parseRange reads N or N-M.
func parseRange(text string) (first, last uint16, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if first, err = parseNumber(from); err != nil {
		return 0, 0, err
	}
	if !isRange {
		return first, first, nil
	}
	if last, err = parseNumber(to); err != nil {
		return 0, 0, err
	}
	if last < first {
		return 0, 0, fmt.Errorf("the range %s ends before it begins", text)
	}
	if last-first >= mostPorts {
		return 0, 0, fmt.Errorf("the range %s has more than %d ports", text, mostPorts)
	}
	return first, last, nil
}

func parseNumber(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port, 1 to 65535", text)
	}
	return uint16(n), nil
}
