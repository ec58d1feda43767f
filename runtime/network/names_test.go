package network

import (
	"errors"
	"net/netip"
	"testing"
)

func TestTheContainersNameResolves(t *testing.T) {
	const hosts = "127.0.0.1 localhost\n10.0.0.7 node7.cluster node7 # the seventh\n"
	for _, c := range []struct{ hosts, name, want string }{
		{hosts, "node7", hosts},
		{hosts, "seventh", hosts + "127.0.1.1\tseventh\n"},
		{"127.0.0.1 localhost", "job", "127.0.0.1 localhost\n127.0.1.1\tjob\n"},
		{"", "job", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tjob\n"},
	} {
		if got := withName(c.hosts, c.name); got != c.want {
			t.Errorf("%q in %q: %q", c.name, c.hosts, got)
		}
	}
}

func TestHostsOfNetworks(t *testing.T) {
	private := Config{Mode: Private, Subnet: Subnet{netip.MustParseAddr("10.0.2.0")}, Host: Uplink{Address: netip.MustParseAddr("10.0.0.7"), Route4: true}}
	const host = "127.0.0.1 localhost\n127.0.1.1 node7\n10.0.0.8\tdata storage # the file server\nfe80::1 near\n"
	const local = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	db, gateway := Alias{"db", "10.1.2.3"}, Alias{"me", HostGateway}
	for _, c := range []struct {
		name   string
		config Config
		hosts  []Alias
		want   string
	}{
		{"the host's", Config{}, []Alias{db, gateway}, host + "127.0.1.1\tjob\n10.1.2.3\tdb\n127.0.0.1\tme\n"},
		{"none", Config{Mode: None}, []Alias{db}, local + "127.0.1.1\tjob\n10.1.2.3\tdb\n"},
		{"private", private, []Alias{db, gateway}, local + "10.0.0.8\tdata\tstorage\n10.0.2.100\tjob\n10.1.2.3\tdb\n10.0.0.7\tme\n"},
	} {
		if got, err := (Names{Hosts: c.hosts}).HostsFile(c.config, host, "job"); err != nil || got != c.want {
			t.Errorf("%s: %v\n%s", c.name, err, got)
		}
	}
	for _, without := range []Config{{Mode: None}, {Mode: Private, Subnet: private.Subnet}} {
		if _, err := (Names{Hosts: []Alias{gateway}}).HostsFile(without, host, "job"); !errors.Is(err, ErrOption) {
			t.Errorf("a gateway in %s: %v", without.Mode, err)
		}
	}
}

func TestResolversOfNetworks(t *testing.T) {
	private := Config{Mode: Private, Subnet: Subnet{netip.MustParseAddr("10.0.2.0")}, Host: Uplink{Route4: true}}
	const host = "# by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.example b.example\noptions edns0\n"
	for _, c := range []struct {
		name   string
		names  Names
		config Config
		host   string
		want   string
	}{
		{"the host's", Names{}, Config{}, host, host},
		{"the host's, with others", Names{Resolvers: []string{"192.0.2.53"}}, Config{}, host, "nameserver 192.0.2.53\nsearch a.example b.example\noptions edns0\n"},
		{"no domains", Names{Search: []string{"."}}, Config{}, "nameserver 192.0.2.1\nsearch a.example\n", "nameserver 192.0.2.1\n"},
		{"none", Names{}, Config{Mode: None}, host, "search a.example b.example\noptions edns0\n"},
		{"none, and nothing else", Names{}, Config{Mode: None}, "nameserver 192.0.2.1\n", "# no network\n"},
		{"private", Names{}, private, host, "nameserver 192.0.2.1\nsearch a.example b.example\noptions edns0\n"},
		{"private, of a host with its own", Names{}, private, "nameserver 127.0.0.53\n", "nameserver 10.0.2.3\n"},
	} {
		if got := c.names.ResolvConf(c.config, c.host); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
