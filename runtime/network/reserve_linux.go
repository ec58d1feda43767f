package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/undo"
)

// Reserve finds the ports of the host that are wanted, chooses those that are left to it, and finds out whether they can be had.
// They are free again when it returns, and whoever is to have them must take them soon.
func Reserve(ctx context.Context, ports []Port) (_ []Port, err error) {
	var held undo.Stack
	defer func() { err = errors.Join(err, held.Run()) }()
	taken := make([]Port, len(ports))
	for i, p := range ports {
		if taken[i], err = reserve(ctx, p, &held); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPort, err)
		}
	}
	return taken, nil
}

// attempts bounds the search for a free port that is free for IPv4 and IPv6 alike.
const attempts = 64

func reserve(ctx context.Context, p Port, held *undo.Stack) (Port, error) {
	first, last := p.Host, max(p.Host, p.Last)
	p.Last = 0
	if first == 0 {
		return reserveAny(ctx, p, held)
	}
	for number := int(first); ; number++ {
		p.Host = uint16(number)
		err := take(ctx, p, held)
		if err == nil {
			return p, nil
		}
		if number == int(last) || !errors.Is(err, unix.EADDRINUSE) {
			return p, explainPort(p, err)
		}
	}
}

func reserveAny(ctx context.Context, p Port, held *undo.Stack) (_ Port, err error) {
	for range attempts {
		number, err := freePort(ctx, p)
		if err != nil {
			return p, explainPort(p, err)
		}
		p.Host = number
		if err = take(ctx, p, held); err == nil {
			return p, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return p, explainPort(p, err)
		}
	}
	return p, errors.New("no port of the host is free")
}

// families are the networks, as package net calls them, on which a port is to be had.
func (p Port) families() []string {
	switch {
	case !p.HostIP.IsValid():
		return []string{p.Protocol + "4", p.Protocol + "6"}
	case p.HostIP.Is4():
		return []string{p.Protocol + "4"}
	default:
		return []string{p.Protocol + "6"}
	}
}

// take binds a port on all that it is meant for. A host without IPv6 has nothing to take there.
func take(ctx context.Context, p Port, held *undo.Stack) error {
	for _, family := range p.families() {
		closer, _, err := bind(ctx, family, p)
		if !p.HostIP.IsValid() && strings.HasSuffix(family, "6") && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
			continue
		}
		if err != nil {
			return err
		}
		held.Add(closer)
	}
	return nil
}

// freePort is a number that the kernel chooses.
func freePort(ctx context.Context, p Port) (uint16, error) {
	p.Host = 0
	closer, address, err := bind(ctx, p.families()[0], p)
	if err != nil {
		return 0, err
	}
	at, err := netip.ParseAddrPort(address.String())
	return at.Port(), errors.Join(err, closer())
}

func bind(ctx context.Context, family string, p Port) (closer func() error, at net.Addr, err error) {
	var c net.ListenConfig
	address := net.JoinHostPort(p.address(), strconv.Itoa(int(p.Host)))
	if p.Protocol == "udp" {
		conn, err := c.ListenPacket(ctx, family, address)
		if err != nil {
			return nil, nil, err
		}
		return conn.Close, conn.LocalAddr(), nil
	}
	listener, err := c.Listen(ctx, family, address)
	if err != nil {
		return nil, nil, err
	}
	return listener.Close, listener.Addr(), nil
}

// privilegedFile says from which port on everybody may take one (ip-sysctl.rst of the kernel).
const privilegedFile = "/proc/sys/net/ipv4/ip_unprivileged_port_start"

// CheckPrivileged refuses ports that only root may take. The helper is never root on the host, whoever Coracle is.
func CheckPrivileged(ports []Port) error {
	text, err := os.ReadFile(privilegedFile)
	if err != nil {
		return nil //nolint:nilerr // before Linux 4.11 there is none; then the helper says what is wrong
	}
	start, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("reading %s: %w", privilegedFile, err)
	}
	for _, p := range ports {
		if p.Host != 0 && int(p.Host) < start {
			return fmt.Errorf("%w: port %d is for root alone on this host: choose one from %d on, or ask the administrator for 'sysctl net.ipv4.ip_unprivileged_port_start=%d'", ErrPort, p.Host, start, p.Host)
		}
	}
	return nil
}

// explainPort says why a port cannot be had.
func explainPort(p Port, err error) error {
	what := fmt.Sprintf("port %d/%s of the host", p.Host, p.Protocol)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s is in use%s", what, holder(p))
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this host does not have the address %s", what, p.address())
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
