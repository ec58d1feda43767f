package network

import (
	"fmt"
	"net/netip"
)

// Subnet is a network of IPv4 addresses for a container, /24.
type Subnet struct {
	Base netip.Addr `json:"base"`
}

// Addresses in a subnet. slirp4netns has them so, and pasta is told.
const (
	hostGateway   = 2
	hostResolver  = 3
	hostContainer = 100
)

// candidates are the subnets that a container may have. The first is what users of QEMU, VirtualBox and slirp know; the others are
// for hosts that have a route to it.
var candidates = []netip.Prefix{
	netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("192.168.127.0/24"), netip.MustParsePrefix("172.31.255.0/24"), netip.MustParsePrefix("100.115.92.0/24"),
}

// pickSubnet is a subnet that hides none of the networks that the host knows; when there is none, the first.
func pickSubnet(known []netip.Prefix) Subnet {
next:
	for _, candidate := range candidates {
		for _, network := range known {
			if network.Bits() > 0 && network.Overlaps(candidate) {
				continue next
			}
		}
		return Subnet{candidate.Addr()}
	}
	return Subnet{candidates[0].Addr()}
}

func (s Subnet) at(n byte) netip.Addr {
	bytes := s.Base.As4()
	bytes[3] = n
	return netip.AddrFrom4(bytes)
}

// Address is the container's own.
func (s Subnet) Address() netip.Addr { return s.at(hostContainer) }

// Gateway is the way out.
func (s Subnet) Gateway() netip.Addr { return s.at(hostGateway) }

// Resolver is where the container can ask the host's own name server, wherever that is.
func (s Subnet) Resolver() netip.Addr { return s.at(hostResolver) }

// String is the subnet in CIDR notation.
func (s Subnet) String() string { return fmt.Sprintf("%s/24", s.Base) }
