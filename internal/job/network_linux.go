package job

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Network is what the user asked for of the job's network. The zero value is the host's, as the host has it.
type Network struct {
	Mode      network.Mode
	Publish   []network.Port
	Resolvers []string // --dns: addresses, instead of the host's
	Search    []string // --dns-search: domains, instead of the host's
	Hosts     []Alias  // --add-host

	config  network.Config // what the keeper is to make
	version string         // of the helper
}

// Alias is a name for an address, in the job's /etc/hosts.
type Alias struct {
	Name    string
	Address string // or HostGateway
}

// HostGateway is the word for the address by which the job reaches the host.
const HostGateway = "host-gateway"

// network finds out whether the host can give the network that is asked for.
func (r *Runner) network(ctx context.Context, n *Network) error {
	switch {
	case n.Mode == network.None && len(n.Publish) > 0:
		return fmt.Errorf("%w: --publish: nothing reaches a job with --network none", spec.ErrOption)
	case n.Mode == network.None:
		n.config = network.Config{Mode: network.None}
	case n.Mode == network.Private:
		return n.plan(ctx, r.Notice)
	case len(n.Publish) > 0:
		r.Notice("published ports are discarded: the job has the host's network, and its ports are the host's")
		n.Publish = nil
	}
	return nil
}

// plan prepares a private network, with its ports.
func (n *Network) plan(ctx context.Context, notice func(string)) (err error) {
	if n.config, err = network.Plan(); err != nil {
		return err
	}
	if err := network.CheckPrivileged(n.Publish); err != nil {
		return err
	}
	if err := n.config.CheckPorts(n.Publish); err != nil {
		return err
	}
	asked := n.Publish
	if n.Publish, err = network.Reserve(ctx, asked); err != nil {
		return err
	}
	n.config.Ports = n.Publish
	for i, p := range n.Publish {
		if asked[i].Host != p.Host {
			notice("published " + p.String())
		}
	}
	n.version, err = n.config.Helper.Version(ctx)
	return err
}

// hostname is what the job's host is called when nobody said: as the host where the network is the host's, else by the run's id,
// as docker has it.
func (n Network) hostname(host, id string) string {
	if !n.Mode.Own() {
		return host
	}
	return strings.ToLower(id[:12])
}

// records are the network's part of the run's record.
func (n Network) records() (names *record.Names, private *record.Private) {
	if len(n.Resolvers)+len(n.Search)+len(n.Hosts) > 0 {
		names = &record.Names{Resolvers: n.Resolvers, Search: n.Search}
		for _, h := range n.Hosts {
			names.Hosts = append(names.Hosts, h.Name+":"+h.Address)
		}
	}
	if n.Mode != network.Private {
		return names, nil
	}
	helper := n.config.Helper
	private = &record.Private{
		Helper: record.Helper{Name: helper.Name, Path: helper.Path, Version: n.version},
		Subnet: n.config.Subnet.String(), Address: n.config.Subnet.Address().String(), Ports: []record.Port{},
	}
	for _, p := range n.Publish {
		port := record.Port{Host: p.Host, Inside: p.Inside, Protocol: p.Protocol}
		if p.HostIP.IsValid() {
			port.HostIP = p.HostIP.String()
		}
		private.Ports = append(private.Ports, port)
	}
	return names, private
}

// ParseAlias reads a value of --add-host, NAME:ADDRESS or NAME=ADDRESS, where an IPv6 address may stand in brackets.
func ParseAlias(text string) (Alias, error) {
	at := strings.IndexAny(text, ":=")
	if at < 0 {
		return Alias{}, fmt.Errorf("%w: --add-host %q: write NAME:ADDRESS", spec.ErrOption, text)
	}
	a := Alias{Name: text[:at], Address: text[at+1:]}
	if !isName(a.Name) {
		return a, fmt.Errorf("%w: --add-host %q: %q is no name of a host", spec.ErrOption, text, a.Name)
	}
	if a.Address == HostGateway {
		return a, nil
	}
	address, err := parseAddress(strings.TrimSuffix(strings.TrimPrefix(a.Address, "["), "]"))
	if err != nil {
		return a, fmt.Errorf("%w: --add-host %q: %w, and not %s", spec.ErrOption, text, err, HostGateway)
	}
	a.Address = address
	return a, nil
}

// CheckResolver reads a value of --dns.
func CheckResolver(text string) (string, error) {
	address, err := parseAddress(text)
	if err != nil {
		return "", fmt.Errorf("%w: --dns: %w", spec.ErrOption, err)
	}
	return address, nil
}

// CheckDomain reads a value of --dns-search; "." asks for none.
func CheckDomain(text string) (string, error) {
	if text != "." && (text == "" || len(text) > 255 || !consists(text)) {
		return "", fmt.Errorf("%w: --dns-search %q is no domain", spec.ErrOption, text)
	}
	return text, nil
}

var errNoGateway = errors.New("host-gateway: this host has no address by which the job could reach it")
