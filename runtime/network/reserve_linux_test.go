package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

var localhost = netip.MustParseAddr("127.0.0.1")

// listening is a port of the loopback device that this process has.
func listening(t *testing.T) uint16 {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	return netip.MustParseAddrPort(listener.Addr().String()).Port()
}

func TestReserve(t *testing.T) {
	ports, err := Reserve(t.Context(), []Port{
		{Inside: 80, Protocol: "tcp"}, {Inside: 81, Protocol: "tcp"}, {Inside: 80, Protocol: "udp"}, {HostIP: localhost, Inside: 82, Protocol: "tcp"},
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range ports {
		key := fmt.Sprint(p.Host, p.Protocol)
		if p.Host == 0 || seen[key] {
			t.Errorf("chosen: %v", ports)
		}
		seen[key] = true
	}
	// They are free again.
	if _, err := Reserve(t.Context(), ports); err != nil {
		t.Error(err)
	}
}

func TestReserveTaken(t *testing.T) {
	taken := listening(t)
	holder := fmt.Sprintf("port %d/tcp of the host is in use by", taken)
	for _, ip := range []netip.Addr{{}, localhost} {
		_, err := Reserve(t.Context(), []Port{{HostIP: ip, Host: taken, Inside: 80, Protocol: "tcp"}})
		if !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), holder) || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
			t.Errorf("%v: %v", ip, err)
		}
	}
	if _, err := Reserve(t.Context(), []Port{{HostIP: localhost, Host: taken, Inside: 80, Protocol: "udp"}}); err != nil {
		t.Errorf("the other protocol's: %v", err)
	}
	_, err := Reserve(t.Context(), []Port{{HostIP: netip.MustParseAddr("203.0.113.7"), Host: taken, Inside: 80, Protocol: "tcp"}})
	if !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), "does not have the address 203.0.113.7") {
		t.Errorf("somebody else's address: %v", err)
	}
}

func TestReserveOfRange(t *testing.T) {
	taken := listening(t)
	got, err := Reserve(t.Context(), []Port{{HostIP: localhost, Host: taken, Last: taken + 50, Inside: 80, Protocol: "tcp"}})
	if err != nil || got[0].Host <= taken || got[0].Last != 0 {
		t.Errorf("of a range whose first is taken: %v, %v", got, err)
	}
}
