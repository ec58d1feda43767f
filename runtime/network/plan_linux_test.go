package network

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

const routes = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	FE4D4D0A	0003	0	0	0	00000000	0	0	0
eth0	004D4D0A	00000000	0001	0	0	0	00FFFFFF	0	0	0
ib0	0000100A	00000000	0001	0	0	0	0000FFFF	0	0	0
`

func TestParseRoutes(t *testing.T) {
	known, everywhere := parseRoutes(routes)
	want := []netip.Prefix{netip.MustParsePrefix("10.77.77.0/24"), netip.MustParsePrefix("10.16.0.0/16")}
	if !slices.Equal(known, want) || !everywhere {
		t.Errorf("routes to %v, everywhere %v", known, everywhere)
	}
	if known, everywhere := parseRoutes(""); known != nil || everywhere {
		t.Errorf("without a table: %v, %v", known, everywhere)
	}
}

func TestHasDefault6(t *testing.T) {
	const zero = "00000000000000000000000000000000"
	const line = " 00 " + zero + " 00 fd770000000000000000000000000fe 00000400 00000001 00000000 00000003 "
	for table, want := range map[string]bool{
		"":                                    false,
		zero + line + "    lo\n":              false,
		zero + line + "  eth0\n":              true,
		"fd77" + zero[4:] + line + "  eth0\n": false,
		zero + strings.Replace(line, " 00", " 40", 1) + "eth0\n": false,
	} {
		if got := hasDefault6(table); got != want {
			t.Errorf("%q: %v", table, got)
		}
	}
}

func TestPickSubnet(t *testing.T) {
	for _, tc := range []struct{ known, want string }{
		{"", "10.0.2.0/24"},
		{"0.0.0.0/0", "10.0.2.0/24"},
		{"192.168.127.0/24", "10.0.2.0/24"},
		{"10.0.0.0/8", "192.168.127.0/24"},
		{"10.0.2.15/32 192.168.0.0/16", "172.31.255.0/24"},
		{"10.0.0.0/8 192.168.0.0/16 172.16.0.0/12 100.64.0.0/10", "10.0.2.0/24"},
	} {
		var known []netip.Prefix
		for _, text := range strings.Fields(tc.known) {
			known = append(known, netip.MustParsePrefix(text))
		}
		s := pickSubnet(known)
		if s.String() != tc.want {
			t.Errorf("beside %q: %s, want %s", tc.known, s, tc.want)
		}
		network := netip.MustParsePrefix(s.String())
		for _, address := range []netip.Addr{s.Address(), s.Gateway(), s.Resolver()} {
			if !network.Contains(address) {
				t.Errorf("%s has the address %s", network, address)
			}
		}
	}
}

func TestMeet(t *testing.T) {
	var u Uplink
	var known []netip.Prefix
	for _, i := range []struct{ name, addresses string }{
		{"usb0", "169.254.3.1/16 fd00::1/64"}, {"ib0", "10.16.0.1/16"}, {"eth0", "192.0.2.2/24"},
	} {
		var addresses []net.Addr
		for _, text := range strings.Fields(i.addresses) {
			ip, network, err := net.ParseCIDR(text)
			if err != nil {
				t.Fatal(err)
			}
			addresses = append(addresses, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		u.meet(i.name, addresses, &known)
	}
	if u.Interface != "ib0" || u.Address.String() != "10.16.0.1" || len(known) != 3 {
		t.Errorf("%+v, %v", u, known)
	}
}

// programs makes an empty program of each name and has PATH lead to them.
func programs(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		need.Program(t, filepath.Join(dir, name), "#!/bin/sh\n")
	}
	t.Setenv("PATH", dir)
	return dir
}

func TestFindHelper(t *testing.T) {
	saved := helperDirs
	t.Cleanup(func() { helperDirs = saved })
	helperDirs = nil
	usual, cut := Uplink{Route4: true}, Uplink{}
	for _, tc := range []struct {
		there []string
		host  Uplink
		want  string
	}{
		{[]string{Pasta, Slirp}, usual, Pasta},
		{[]string{Slirp}, usual, Slirp},
		{[]string{Pasta, Slirp}, cut, Slirp},
		{[]string{Pasta}, cut, Pasta},
		{[]string{Pasta, Slirp}, Uplink{Interface: "eth0"}, Pasta},
	} {
		dir := programs(t, tc.there...)
		got, err := findHelper(tc.host)
		if want := (Helper{tc.want, filepath.Join(dir, tc.want)}); got != want || err != nil {
			t.Errorf("of %v: %v, %v", tc.there, got, err)
		}
	}
	elsewhere := programs(t, Pasta)
	programs(t, Slirp)
	helperDirs = []string{elsewhere}
	if got, err := findHelper(usual); got.Name != Slirp || err != nil {
		t.Errorf("in PATH before elsewhere: %v, %v", got, err)
	}
	t.Setenv("PATH", "")
	if got, err := findHelper(usual); got.Path != filepath.Join(elsewhere, Pasta) || err != nil {
		t.Errorf("elsewhere: %v, %v", got, err)
	}
	helperDirs = nil
	if _, err := findHelper(usual); !errors.Is(err, ErrHelper) || !strings.Contains(err.Error(), "package passt") || !strings.Contains(err.Error(), "package slirp4netns") {
		t.Errorf("nowhere: %v", err)
	}
}

func TestPastaArgs(t *testing.T) {
	subnet := pickSubnet(nil)
	port := Port{Host: 8080, Inside: 80, Protocol: "tcp"}
	local := Port{HostIP: netip.MustParseAddr("::1"), Host: 53, Inside: 5353, Protocol: "udp"}
	for _, tc := range []struct {
		c    Config
		want string
	}{
		{Config{Host: Uplink{Route4: true}}, "--address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 --dns-forward 10.0.2.3 -t none -u none"},
		{Config{Host: Uplink{Route4: true}, Ports: []Port{port, local}}, "--address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 --dns-forward 10.0.2.3 -t 8080:80 -u ::1/53:5353"},
		{Config{Host: Uplink{Route6: true, Interface: "eth0"}}, "--address " + address6 + " --gateway " + gateway6 + " -t none -u none"},
		{Config{Host: Uplink{Interface: "eth0"}}, "--address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 --dns-forward 10.0.2.3 --interface eth0 -t none -u none"},
		{Config{}, "-t none -u none"},
	} {
		tc.c.Subnet = subnet
		want := "--config-net --quiet --ns-ifname eth0 --runas 0:0 --no-map-gw -T none -U none " + tc.want + " --netns /proc/7/ns/net"
		if got := strings.Join(pastaArgs(tc.c, "/proc/7/ns/net"), " "); got != want {
			t.Errorf("%+v:\n%s\nwant:\n%s", tc.c, got, want)
		}
	}
}

func TestPastaError(t *testing.T) {
	const said = "Failed to send 46 bytes to syslog\nNo external routable interface for IPv4\nFailed to send 36 bytes to syslog\nExternal interface not usable\n"
	if got := pastaError(said); got != "No external routable interface for IPv4; External interface not usable" {
		t.Errorf("%q", got)
	}
}
