package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// slirpArgs is the command line of slirp4netns for a network namespace (slirp4netns(1)), with the descriptor on which it says that
// the network is up, and the path of the socket on which it takes ports.
func slirpArgs(c Config, namespace string, ready int, socket string) []string {
	args := []string{
		"--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp",
		"--cidr=" + c.Subnet.String(), fmt.Sprintf("--ready-fd=%d", ready),
	}
	if c.Host.Route6 {
		args = append(args, "--enable-ipv6")
	}
	if len(c.Ports) > 0 {
		args = append(args, "--api-socket="+socket)
	}
	return append(args, "--netns-type=path", namespace, device)
}

// checkSlirp refuses what slirp4netns cannot do.
func checkSlirp(ports []Port) error {
	for _, p := range ports {
		if p.HostIP.Is6() {
			return fmt.Errorf("%w: %s: slirp4netns publishes on IPv4 alone; pasta (package passt) does on IPv6", ErrHelper, p)
		}
	}
	return nil
}

// slirpRequest is a message of slirp4netns's API.
type slirpRequest struct {
	Execute   string    `json:"execute"`
	Arguments slirpPort `json:"arguments"`
}

type slirpPort struct {
	Protocol string     `json:"proto"`
	HostIP   netip.Addr `json:"host_addr"`
	Host     uint16     `json:"host_port"`
	Inside   uint16     `json:"guest_port"`
}

type slirpReply struct {
	Error *struct {
		Description string `json:"desc"`
	} `json:"error"`
}

// slirpPatience is how long one answer of slirp4netns may take.
const slirpPatience = 10 * time.Second

// slirpPublish has a running slirp4netns take a port. Each request has a connection of its own.
func slirpPublish(socket string, p Port) (err error) {
	conn, err := net.DialTimeout("unix", socket, slirpPatience)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(slirpPatience)); err != nil {
		return err
	}
	address := p.HostIP
	if !address.IsValid() {
		address = netip.IPv4Unspecified()
	}
	request := slirpRequest{"add_hostfwd", slirpPort{Protocol: p.Protocol, HostIP: address, Host: p.Host, Inside: p.Inside}}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return err
	}
	var reply slirpReply
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		return err
	}
	if reply.Error != nil {
		return fmt.Errorf("%s: %s", p, reply.Error.Description)
	}
	return nil
}
