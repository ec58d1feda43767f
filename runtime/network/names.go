package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Names are what the user asked for of a job's names, beside those that the host knows. The zero value is the host's own.
type Names struct {
	Resolvers []string // --dns: addresses, instead of the host's
	Search    []string // --dns-search: domains, instead of the host's
	Hosts     []Alias  // --add-host
}

// HostsFile is the /etc/hosts of a job with this network and hostname; host is the host's, "" for none. In a network of its own the
// loopback addresses are not the host's; the others of its names are of use where they can be reached. The error is ErrOption for an alias
// of a host that cannot be reached.
func (n Names) HostsFile(c Config, host, hostname string) (string, error) {
	var text string
	switch c.Mode {
	case None:
		text = withName("", hostname)
	case Private:
		text = localHosts + afar(host) + c.Subnet.Address().String() + "\t" + hostname + "\n"
	default:
		text = withName(host, hostname)
	}
	for _, h := range n.Hosts {
		address := h.Address
		if address == HostGateway {
			if address = c.gateway(); address == "" {
				return "", fmt.Errorf("%w: --add-host %s:%w", ErrOption, h.Name, errNoGateway)
			}
		}
		text += address + "\t" + h.Name + "\n"
	}
	return text, nil
}

// gateway is the address by which the job reaches the host; "": there is none.
func (c Config) gateway() string {
	switch {
	case c.Mode == None:
		return ""
	case c.Mode != Private:
		return "127.0.0.1"
	case !c.Host.Address.IsValid():
		return ""
	}
	return c.Host.Address.String()
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

// ResolvConf is the /etc/resolv.conf of a job with this network: the host's, with what was asked for in its place. A resolver on the
// host's loopback, as systemd-resolved and dnsmasq are, cannot be reached from a private network but through its helper.
func (n Names) ResolvConf(c Config, host string) string {
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
	case !c.Mode.Own() && len(n.Resolvers)+len(n.Search) == 0:
		return host
	case c.Mode == None:
		resolvers = nil // and a program that asks all the same is refused at once by its own loopback
	case c.Mode == Private:
		resolvers = c.reachable(resolvers)
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
func (c Config) reachable(resolvers []string) []string {
	kept := slices.DeleteFunc(slices.Clone(resolvers), func(text string) bool {
		address, err := netip.ParseAddr(text)
		return err != nil || local(address) || address.Is4() && !c.IPv4() || address.Is6() && !c.Host.Route6
	})
	if len(kept) == 0 {
		return []string{c.Subnet.Resolver().String()}
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

// withName makes the container's name resolve: on the host's network, and where the host's own file does not name it, to
// the loopback address that Debian uses for a machine's own name.
func withName(hosts, hostname string) string {
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 {
			for _, name := range fields[1:] {
				if name == hostname {
					return hosts
				}
			}
		}
	}
	if hosts == "" {
		hosts = localHosts
	}
	if !strings.HasSuffix(hosts, "\n") {
		hosts += "\n"
	}
	return hosts + "127.0.1.1\t" + hostname + "\n"
}
