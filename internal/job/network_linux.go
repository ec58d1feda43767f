package job

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Network is what the user asked for of the job's network. The zero value is the host's, as the host has it.
type Network struct {
	Mode    network.Mode
	Publish []network.Port
	network.Names

	config  network.Config // what the keeper is to make
	version string         // of the helper
}

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

// files are those by which the job finds its way in its network. What cannot be read of the host's is told, and done without.
func (n Network) files(hostname string, notice func(string)) ([]container.File, error) {
	hosts, err := n.HostsFile(n.config, readIfThere("/etc/hosts", notice), hostname)
	if err != nil {
		return nil, err
	}
	resolv := n.ResolvConf(n.config, readIfThere("/etc/resolv.conf", notice))
	return []container.File{
		{Name: "hosts", Text: []byte(hosts)}, {Name: "hostname", Text: []byte(hostname + "\n")}, {Name: "resolv.conf", Text: []byte(resolv)},
	}, nil
}

// readIfThere reads a file of the host's; "" where it is not there.
func readIfThere(path string, notice func(string)) string {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		notice("the job does without the host's " + path + ": " + err.Error())
		return ""
	}
	return string(text)
}
