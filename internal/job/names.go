package job

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/spec"
)

func parseAddress(text string) (string, error) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return "", fmt.Errorf("%q is no IP address", text)
	}
	return address.String(), nil
}

// files are those by which the job finds its way in its network. What cannot be read of the host's is told, and done without.
func (n Network) files(hostname string, notice func(string)) ([]container.File, error) {
	resolv := readIfThere("/etc/resolv.conf", notice)
	hosts, err := n.hosts(readIfThere("/etc/hosts", notice), hostname)
	if err != nil {
		return nil, err
	}
	return []container.File{
		{Name: "hosts", Text: []byte(hosts)}, {Name: "hostname", Text: []byte(hostname + "\n")}, {Name: "resolv.conf", Text: []byte(n.resolv(resolv))},
	}, nil
}

// hosts is the job's /etc/hosts. In a network of its own, the loopback addresses are not the host's; the others of its names are
// of use where they can be reached.
func (n Network) hosts(host, hostname string) (string, error) {
	var text string
	switch n.Mode {
	case network.None:
		text = withName("", hostname)
	case network.Private:
		text = localHosts + afar(host) + n.config.Subnet.Address().String() + "\t" + hostname + "\n"
	default:
		text = withName(host, hostname)
	}
	for _, h := range n.Hosts {
		address := h.Address
		if address == HostGateway {
			if address = n.gateway(); address == "" {
				return "", fmt.Errorf("%w: --add-host %s:%w", spec.ErrOption, h.Name, errNoGateway)
			}
		}
		text += address + "\t" + h.Name + "\n"
	}
	return text, nil
}

// gateway is the address by which the job reaches the host; "": there is none.
func (n Network) gateway() string {
	switch {
	case n.Mode == network.None:
		return ""
	case n.Mode != network.Private:
		return "127.0.0.1"
	case !n.config.Host.Address.IsValid():
		return ""
	}
	return n.config.Host.Address.String()
}

const localHosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

// afar are the lines of a hosts file that are about other machines.
func afar(hosts string) string {
	var kept strings.Builder
	for line := range strings.Lines(hosts) {
		entry, _, _ := strings.Cut(line, "#")
		fields := strings.Fields(entry)
		if len(fields) < 2 {
			continue
		}
		if address, err := netip.ParseAddr(fields[0]); err == nil && !local(address) {
			kept.WriteString(strings.Join(fields, "\t") + "\n")
		}
	}
	return kept.String()
}

// local reports whether an address means something else, or nothing, in another network namespace of the same host.
func local(address netip.Addr) bool {
	return address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() || address.IsMulticast()
}

// resolv is the job's /etc/resolv.conf: the host's, with what was asked for in its place. A resolver on the host's loopback, as
// systemd-resolved and dnsmasq are, cannot be reached from a private network but through its helper.
func (n Network) resolv(host string) string {
	var resolvers, search, rest []string
	for line := range strings.Lines(host) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			resolvers = append(resolvers, fields[1])
		case "search", "domain":
			search = fields[1:] // the last one counts (resolv.conf(5))
		case "options", "sortlist":
			rest = append(rest, strings.Join(fields, " "))
		}
	}
	switch {
	case !n.Mode.Own() && len(n.Resolvers)+len(n.Search) == 0:
		return host
	case n.Mode == network.None:
		resolvers = nil // and a program that asks all the same is refused at once by its own loopback
	case n.Mode == network.Private:
		resolvers = n.reachable(resolvers)
	}
	if len(n.Resolvers) > 0 {
		resolvers = n.Resolvers
	}
	if len(n.Search) > 0 {
		search = slices.DeleteFunc(slices.Clone(n.Search), func(domain string) bool { return domain == "." })
	}
	return writeResolv(resolvers, search, rest)
}

// reachable are the resolvers that a private network reaches directly, else the one of its helper.
func (n Network) reachable(resolvers []string) []string {
	kept := slices.DeleteFunc(slices.Clone(resolvers), func(text string) bool {
		address, err := netip.ParseAddr(text)
		return err != nil || local(address) || address.Is4() && !n.config.IPv4() || address.Is6() && !n.config.Host.Route6
	})
	if len(kept) == 0 {
		return []string{n.config.Subnet.Resolver().String()}
	}
	return kept
}

func writeResolv(resolvers, search, rest []string) string {
	var text strings.Builder
	for _, r := range resolvers {
		text.WriteString("nameserver " + r + "\n")
	}
	if len(search) > 0 {
		text.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	for _, line := range rest {
		text.WriteString(line + "\n")
	}
	return cmp.Or(text.String(), "# no network\n")
}
