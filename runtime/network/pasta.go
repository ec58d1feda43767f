package network

import (
	"fmt"
	"strings"
)

// device is what the container's interface is called.
const device = "eth0"

// IPv6 addresses of a container with pasta, out of those that belong to nobody (RFC 4193).
const (
	address6 = "fd63:6f72:6163:6c65::100"
	gateway6 = "fd63:6f72:6163:6c65::2"
)

// pastaArgs is the command line of pasta for a network namespace (passt(1)). It goes into the background when the network is up
// and the ports are taken.
func pastaArgs(c Config, namespace string) []string {
	args := []string{
		"--config-net", "--quiet", "--ns-ifname", device,
		"--runas", "0:0", // the caller, among whatever ids the keeper has; else it would become somebody else of them
		"--no-map-gw",              // else the gateway's address reaches what listens on the host's loopback
		"-T", "none", "-U", "none", // nor does the container's loopback
	}
	if c.IPv4() {
		// Without addresses of its own the container has the host's, and cannot reach the host by it.
		args = append(args, "--address", c.Subnet.Address().String(), "--netmask", "24", "--gateway", c.Subnet.Gateway().String(),
			"--dns-forward", c.Subnet.Resolver().String())
	}
	if c.Host.Route6 {
		args = append(args, "--address", address6, "--gateway", gateway6)
	}
	if !c.Host.Route4 && !c.Host.Route6 && c.Host.Interface != "" {
		args = append(args, "--interface", c.Host.Interface)
	}
	published := map[string]int{}
	for _, p := range c.Ports {
		args = append(args, pastaFlag[p.Protocol], pastaPort(p))
		published[p.Protocol]++
	}
	for _, protocol := range []string{"tcp", "udp"} {
		if published[protocol] == 0 {
			args = append(args, pastaFlag[protocol], "none")
		}
	}
	return append(args, "--netns", namespace)
}

var pastaFlag = map[string]string{"tcp": "-t", "udp": "-u"}

func pastaPort(p Port) string {
	ports := fmt.Sprintf("%d:%d", p.Host, p.Inside)
	if address := p.address(); address != "" {
		return address + "/" + ports
	}
	return ports
}

// pastaError is what of pasta's words says why it failed. Where there is no system log, it says so after each of them.
func pastaError(said string) string {
	var lines []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Failed to send") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// Processes are the beginnings of the names that a helper's process may have: pasta is a link to passt, which executes the build of itself
// for the processor (passt.avx2).
func (h Helper) Processes() []string {
	if h.Name == Pasta {
		return []string{Pasta, "passt"}
	}
	return []string{h.Name}
}
