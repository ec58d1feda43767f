package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/coracle-run/coracle/internal/naming"
)

// Alias is a name for an address, in the job's /etc/hosts.
type Alias struct {
	Name    string
	Address string // or HostGateway
}

// HostGateway is the word for the address by which the job reaches the host.
const HostGateway = "host-gateway"

// ParseAlias reads a value of --add-host, NAME:ADDRESS or NAME=ADDRESS, where an IPv6 address may stand in brackets.
func ParseAlias(text string) (Alias, error) {
	at := strings.IndexAny(text, ":=")
	if at < 0 {
		return Alias{}, fmt.Errorf("%w: --add-host %q: write NAME:ADDRESS", ErrOption, text)
	}
	a := Alias{Name: text[:at], Address: text[at+1:]}
	if !naming.IsName(a.Name) {
		return a, fmt.Errorf("%w: --add-host %q: %q is no name of a host", ErrOption, text, a.Name)
	}
	if a.Address == HostGateway {
		return a, nil
	}
	address, err := parseAddress(strings.TrimSuffix(strings.TrimPrefix(a.Address, "["), "]"))
	if err != nil {
		return a, fmt.Errorf("%w: --add-host %q: %w, and not %s", ErrOption, text, err, HostGateway)
	}
	a.Address = address
	return a, nil
}

// CheckResolver reads a value of --dns.
func CheckResolver(text string) (string, error) {
	address, err := parseAddress(text)
	if err != nil {
		return "", fmt.Errorf("%w: --dns: %w", ErrOption, err)
	}
	return address, nil
}

// CheckDomain reads a value of --dns-search; "." asks for none.
func CheckDomain(text string) (string, error) {
	if text != "." && (text == "" || len(text) > 255 || !naming.IsPlain(text)) {
		return "", fmt.Errorf("%w: --dns-search %q is no domain", ErrOption, text)
	}
	return text, nil
}

var errNoGateway = errors.New("host-gateway: this host has no address by which the job could reach it")

func parseAddress(text string) (string, error) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return "", fmt.Errorf("%q is no IP address", text)
	}
	return address.String(), nil
}
