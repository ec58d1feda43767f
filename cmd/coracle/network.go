package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/network"
)

// networkFlags are those of a job's network.
func networkFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "network", Aliases: []string{"net"}, Value: string(network.Host), Usage: "Give the job this `NETWORK`: host (the default), none, or private (its own, through pasta or slirp4netns; docker's bridge means the same)"},
		&line.List{Name: "publish", Aliases: []string{"p"}, Usage: "Publish a port of a private network: `[IP:]HOST:CONTAINER[/udp]`, or CONTAINER for any free one of the host"},
		&line.List{Name: "dns", Usage: "Ask the name server at `ADDRESS` instead of the host's"},
		&line.List{Name: "dns-search", Usage: "Complete names with this `DOMAIN` instead of the host's; . for none"},
		&line.List{Name: "add-host", Usage: "Add `NAME:ADDRESS` to /etc/hosts; the address host-gateway is the host"},
	}
}

func networkOptions(c *cli.Context) (n job.Network, err error) {
	if n.Mode, err = network.ParseMode(c.String("network")); err != nil {
		return n, err
	}
	if n.Publish, err = network.ParsePorts(line.Values(c, "publish")); err != nil {
		return n, err
	}
	if n.Resolvers, err = each(line.Values(c, "dns"), network.CheckResolver); err != nil {
		return n, err
	}
	if n.Search, err = each(line.Values(c, "dns-search"), network.CheckDomain); err != nil {
		return n, err
	}
	n.Hosts, err = each(line.Values(c, "add-host"), network.ParseAlias)
	return n, err
}

// each reads the values of a flag.
func each[T any](texts []string, parse func(string) (T, error)) ([]T, error) {
	var values []T
	for _, text := range texts {
		v, err := parse(text)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// networkText is a job's network when it is not the host's.
func networkText(r record.Run) string {
	if r.Network == string(network.Host) {
		return ""
	}
	if r.Private == nil {
		return r.Network
	}
	text := fmt.Sprintf("%s, by %s %s", r.Network, r.Private.Helper.Name, r.Private.Helper.Version)
	for _, p := range r.Private.Ports {
		text += ", " + portText(p)
	}
	return text
}

// portText is a port as docker shows it.
func portText(p record.Port) string {
	host := cmp.Or(p.HostIP, "*")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s:%d->%d/%s", host, p.Host, p.Inside, p.Protocol)
}
