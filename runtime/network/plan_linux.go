package network

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Uplink is the host's own network, as a private one depends on it.
type Uplink struct {
	Interface string     `json:"interface,omitempty"` // to take for a pattern where no route leads everywhere
	Address   netip.Addr `json:"address,omitzero"`    // IPv4 of the host, by which a container can reach it
	Route4    bool       `json:"route4,omitempty"`    // there is a default route
	Route6    bool       `json:"route6,omitempty"`    //
}

// Plan says how this host can give a private network, but for the ports. ErrHelper says that it cannot.
func Plan() (Config, error) {
	host, known, err := readUplink()
	if err != nil {
		return Config{}, fmt.Errorf("looking at the host's network: %w", err)
	}
	helper, err := findHelper(host)
	if err != nil {
		return Config{}, err
	}
	if err := checkTun(); err != nil {
		return Config{}, err
	}
	return Config{Mode: Private, Helper: helper, Subnet: pickSubnet(known), Host: host}, nil
}

const tun = "/dev/net/tun"

// checkTun: every helper moves packets through a tap device.
func checkTun() error {
	fd, err := unix.Open(tun, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %s is missing: ask the administrator for 'modprobe tun'", ErrHelper, tun)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: %s is closed to you: ask the administrator for 'chmod 0666 %s', which is usual", ErrHelper, tun, tun)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrHelper, tun, err)
	}
	return unix.Close(fd)
}

// helperDirs are where packages put programs that only other programs run, and where programs are when PATH does not say.
var helperDirs = []string{"/usr/libexec/podman", "/usr/lib/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/local/bin", "/usr/bin", "/bin"}

// findHelper looks for a helper. One that the caller's PATH has goes before one that it has not.
func findHelper(host Uplink) (Helper, error) {
	names := []string{Pasta, Slirp}
	if !host.Route4 && !host.Route6 && host.Interface == "" {
		names = []string{Slirp, Pasta} // older versions of pasta need an interface for a pattern
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil && filepath.IsAbs(path) {
			return Helper{Name: name, Path: path}, nil
		}
	}
	for _, name := range names {
		for _, dir := range helperDirs {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return Helper{Name: name, Path: path}, nil
			}
		}
	}
	return Helper{}, fmt.Errorf("%w: neither pasta nor slirp4netns is in PATH or %s: install package passt, or package slirp4netns", ErrHelper, strings.Join(helperDirs, ", "))
}

// versionPatience is how long a helper may take to say its version.
const versionPatience = 5 * time.Second

// Version is what a helper says of itself, in its first line after its name.
func (h Helper) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Path, "--version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s --version: %w", ErrHelper, h.Path, err)
	}
	first, _, _ := bytes.Cut(out, []byte("\n"))
	version := strings.TrimPrefix(strings.TrimSpace(string(first)), h.Name+" ")
	return strings.TrimPrefix(version, "version "), nil
}

// readUplink looks at the host's interfaces and routes. It returns the networks that the host knows a way to, too.
func readUplink() (host Uplink, known []netip.Prefix, err error) {
	routes4, err := readTable("/proc/net/route")
	if err != nil {
		return host, nil, err
	}
	routes6, err := readTable("/proc/net/ipv6_route")
	if err != nil {
		return host, nil, err
	}
	known, host.Route4 = parseRoutes(routes4)
	host.Route6 = hasDefault6(routes6)
	interfaces, err := net.Interfaces()
	if err != nil {
		return host, nil, err
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			return host, nil, err
		}
		host.meet(i.Name, addresses, &known)
	}
	return host, known, nil
}

// meet takes note of one interface; the first that can be used counts.
func (u *Uplink) meet(name string, addresses []net.Addr, known *[]netip.Prefix) {
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().Is4() {
			continue
		}
		*known = append(*known, prefix)
		if !u.Address.IsValid() && !prefix.Addr().IsLinkLocalUnicast() {
			u.Address, u.Interface = prefix.Addr(), name
		}
	}
}

// readTable reads a table of the kernel's; one that it does not have is empty.
func readTable(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// parseRoutes reads /proc/net/route, whose second and eighth columns are destination and mask, in hexadecimal and the machine's own
// order. It returns the networks, and whether one of the routes leads everywhere.
func parseRoutes(table string) (known []netip.Prefix, everywhere bool) {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		to, toOK := parseHex4(fields[1])
		mask, maskOK := parseHex4(fields[7])
		if !toOK || !maskOK {
			continue // the heading
		}
		bits, _ := net.IPMask(mask[:]).Size()
		if bits == 0 {
			everywhere = true
			continue
		}
		known = append(known, netip.PrefixFrom(netip.AddrFrom4(to), bits))
	}
	return known, everywhere
}

func parseHex4(text string) (address [4]byte, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 4 {
		return address, false
	}
	binary.NativeEndian.PutUint32(address[:], binary.BigEndian.Uint32(raw))
	return address, true
}

// hasDefault6 reads /proc/net/ipv6_route: destination, its length, and in the last column the interface. The kernel lists a route
// to everywhere over lo that only refuses.
func hasDefault6(table string) bool {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) == 10 && fields[1] == "00" && fields[9] != "lo" && strings.Trim(fields[0], "0") == "" {
			return true
		}
	}
	return false
}

// IPv4 reports whether the container has an IPv4 address.
func (c Config) IPv4() bool {
	return c.Helper.Name == Slirp || c.Host.Route4 || !c.Host.Route6 && c.Host.Interface != ""
}

// CheckPorts refuses ports that the helper cannot publish.
func (c Config) CheckPorts(ports []Port) error {
	if c.Helper.Name == Slirp {
		return checkSlirp(ports)
	}
	return nil
}
