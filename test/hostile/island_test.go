package hostile_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The addresses of the island. Those of the registry and of a stranger are of no special kind; the others are where no
// registry has any business to send anybody.
var (
	registryAddr = netip.MustParseAddr("10.99.0.1")
	strangerAddr = netip.MustParseAddr("10.99.0.2")
	metadataAddr = netip.MustParseAddr("169.254.169.254") // the metadata service of clouds
	metadata6    = netip.MustParseAddr("fd00:ec2::254")   // that of one cloud, by IPv6
)

// hosts are the names that resolve on the island.
const hosts = `127.0.0.1 localhost home.example
10.99.0.1 registry.example
10.99.0.2 stranger.example
169.254.169.254 metadata.example
fd00:ec2::254 metadata6.example
::1 home6.example
`

// island sets up a network namespace with nothing but a loopback device, names without a server for them, and a private
// /tmp, and becomes the tests.
func island() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := addresses(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "names-")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"hosts": hosts, "resolv.conf": "", "nsswitch.conf": "hosts: files\n"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, "/etc/"+name, "", unix.MS_BIND, ""); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("hiding /etc/%s: %w", name, err)
		}
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, role+"=") })
	return become("/proc/self/exe", os.Args, append(env, role+"="+asInside))
}

// addresses brings the loopback device up and gives it the island's addresses.
func addresses() error {
	if err := ifreq("lo", unix.SIOCSIFFLAGS, binary.NativeEndian.AppendUint16(nil, unix.IFF_UP|unix.IFF_RUNNING)); err != nil {
		return err
	}
	for i, a := range []netip.Addr{registryAddr, strangerAddr, metadataAddr} {
		name := fmt.Sprintf("lo:%d", i+1)
		for _, set := range []struct {
			request uint
			addr    netip.Addr
		}{{unix.SIOCSIFADDR, a}, {unix.SIOCSIFNETMASK, netip.MustParseAddr("255.255.255.255")}} {
			sockaddr := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
			if err := ifreq(name, set.request, append(append(sockaddr, 0, 0), set.addr.AsSlice()...)); err != nil {
				return fmt.Errorf("%s: %w", a, err)
			}
		}
	}
	return address6(metadata6)
}

// ifreq is an ioctl of netdevice(7): the name in 16 bytes, then a value in 24.
func ifreq(name string, request uint, value []byte) error {
	var req [40]byte
	copy(req[:15], name)
	copy(req[16:], value)
	return netIoctl(unix.AF_INET, request, unsafe.Pointer(&req))
}

// address6 adds an IPv6 address to the loopback device: struct in6_ifreq of linux/ipv6.h.
func address6(a netip.Addr) error {
	req := struct {
		addr   [16]byte
		prefix uint32
		index  int32
	}{a.As16(), 128, 1}
	return netIoctl(unix.AF_INET6, unix.SIOCSIFADDR, unsafe.Pointer(&req))
}

func netIoctl(family int, request uint, arg unsafe.Pointer) error {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return fmt.Errorf("ioctl %#x: %w", request, errno)
	}
	return nil
}
