package network_test

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/internal/proc"
)

// islandEnv is set where the tests run on the island.
const islandEnv = "CORACLE_TEST_ISLAND"

// Addresses of the island. Its name server is where systemd-resolved has its own.
const (
	world4   = "10.77.0.1"
	world6   = "fd77::1"
	resolver = "127.0.0.53:53"
	named    = "10.77.0.9" // what every name resolves to
)

// setUp furnishes the island, as its root, and becomes the ordinary user that runs the tests again. The second interface is the other
// end of the first.
const setUp = `set -e
mount --make-rprivate /
if [ "$TUN" != /dev/net/tun ]; then mount --bind "$TUN" /dev/net/tun; fi
mount --bind "$RESOLV" /etc/resolv.conf
ip link set lo up
ip link add name world type veth peer name far
ip link set far up
ip link set world up
ip addr add 10.77.0.1/24 dev world
ip -6 addr add fd77::1/64 dev world nodad
ip route add default via 10.77.0.254
ip -6 route add default via fd77::fe
echo 53 >/proc/sys/net/ipv4/ip_unprivileged_port_start
exec unshare --user --map-user="$USER_ID" --map-group="$GROUP_ID" "$@"
`

// onIsland runs the calling test again on an island, and returns false when it has done so.
func onIsland(t *testing.T) bool {
	t.Helper()
	if os.Getenv(islandEnv) != "" {
		return true
	}
	need.UserNS(t)
	need.Tool(t, "ip")
	tun := need.Tun(t)
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.53\noptions ndots:0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need.Tool(t, "unshare"), "--user", "--map-root-user", "--net", "--mount", "sh", "-c", setUp, "island",
		program, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), islandEnv+"=1", "TEST_SKIPS=", "TUN="+tun, "RESOLV="+resolv,
		"USER_ID="+strconv.Itoa(os.Getuid()), "GROUP_ID="+strconv.Itoa(os.Getgid()))
	out, err := cmd.CombinedOutput()
	t.Logf("on the island:\n%s", out)
	if err != nil {
		t.Error(err)
	}
	if strings.Contains(string(out), "\n--- SKIP: "+t.Name()) {
		ability, reason := missing(string(out))
		need.Missing(t, ability, reason)
	}
	return false
}

// missing is what a test on the island has said that it needs.
func missing(said string) (ability, reason string) {
	_, said, _ = strings.Cut(said, "needs ")
	said, _, _ = strings.Cut(said, "\n")
	ability, reason, _ = strings.Cut(said, ": ")
	return ability, reason
}

// inhabit has the island's services listen: the world on its addresses, a secret on the loopback device and on an abstract socket,
// and a name server.
func inhabit(t *testing.T) {
	t.Helper()
	for address, name := range map[string]string{
		net.JoinHostPort(world4, "7001"): "world", net.JoinHostPort(world6, "7001"): "world6",
		"127.0.0.1:7002": "secret", "[::1]:7002": "secret",
	} {
		if err := serve(address, name); err != nil {
			t.Fatal(err)
		}
	}
	abstract, err := net.Listen("unix", "@coracle-test-secret")
	if err != nil {
		t.Fatal(err)
	}
	go answer(abstract, "secret")
	packets, err := net.ListenPacket("udp", resolver)
	if err != nil {
		t.Fatal(err)
	}
	go resolve(packets)
}

// secrets are what nobody in a network of its own may reach.
var secrets = []string{"tcp=127.0.0.1:7002", "udp=127.0.0.1:7002", "tcp=[::1]:7002", "unix=@coracle-test-secret"}

// worldly are what can be reached from a private network.
var worldly = []string{"tcp=" + world4 + ":7001", "udp=" + world4 + ":7001", "name=world.example"}

// resolve answers every question for an IPv4 address with named, and others with nothing (RFC 1035, section 4.1).
func resolve(packets net.PacketConn) {
	buf := make([]byte, 1<<10)
	for {
		n, from, err := packets.ReadFrom(buf)
		if err != nil {
			return
		}
		const header, tail = 12, 4 // the question's type and class follow its name
		end := header + strings.IndexByte(string(buf[header:n]), 0) + 1 + tail
		if n < end {
			continue
		}
		reply := append([]byte{}, buf[:end]...)
		kind := binary.BigEndian.Uint16(reply[end-tail:])
		answers := uint16(0)
		if kind == 1 {
			answers = 1
			reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
			reply = append(reply, net.ParseIP(named).To4()...)
		}
		binary.BigEndian.PutUint16(reply[2:], 0x8180) // a reply, without error
		binary.BigEndian.PutUint16(reply[6:], answers)
		binary.BigEndian.PutUint16(reply[8:], 0)
		binary.BigEndian.PutUint16(reply[10:], 0)
		_, _ = packets.WriteTo(reply, from) // who does not hear it asks again
	}
}

// only has a helper be the one that is found.
func only(t *testing.T, b *box, helper string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(need.Tool(t, helper), filepath.Join(dir, helper)); err != nil {
		t.Fatal(err)
	}
	b.env = append(b.env, "PATH="+dir)
}

// adopt makes this process the parent of its orphaned descendants.
func adopt(t *testing.T) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
}

// descendants are the processes that come of this one, with their names.
func descendants(t *testing.T) map[int]string {
	t.Helper()
	parents, names := map[int]int{}, map[int]string{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		stat, err := proc.ParseStat(line)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if stat.State == 'Z' && stat.Parent == os.Getpid() {
			_, _ = unix.Wait4(stat.PID, nil, unix.WNOHANG, nil) // adopted and nobody else's
			continue
		}
		parents[stat.PID], names[stat.PID] = stat.Parent, stat.Name
	}
	found := map[int]string{}
	for pid, name := range names {
		for up := parents[pid]; up > 0; up = parents[up] {
			if up == os.Getpid() {
				found[pid] = name
				break
			}
		}
	}
	return found
}
