package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Namespace is a network namespace. It lasts as long as this process.
type Namespace struct {
	Path string // by which this process and its children can join it

	// Sysfs is whether /sys of the namespace, and not of the host's, was mounted. Inside a container it may not be.
	Sysfs bool
}

// NewNamespace makes a network namespace with a loopback device that is up, and mounts its /sys, read-only, on a directory. The
// calling process must have power over its user namespace and be alone with its mounts. A namespace that was made already, which may
// belong to a user namespace below that, is furnished instead; nil: there is none.
func NewNamespace(sysfs string, made *os.File) (Namespace, error) {
	if err := os.Mkdir(sysfs, 0o555); err != nil {
		return Namespace{}, fmt.Errorf("making the network namespace: %w", err)
	}
	type answer struct {
		Namespace
		err error
	}
	entered := make(chan answer)
	go func() {
		// The thread stays in the namespace, and nothing else may run on it.
		runtime.LockOSThread()
		n, err := enterNamespace(sysfs, made)
		entered <- answer{n, err}
		for err == nil {
			_ = unix.Pause() // ends only by a signal's handler
		}
	}()
	a := <-entered
	if a.err != nil {
		return a.Namespace, fmt.Errorf("making the network namespace: %w", a.err)
	}
	return a.Namespace, nil
}

// enterNamespace moves the calling thread into a new namespace, or into that which was made, and furnishes it.
func enterNamespace(sysfs string, made *os.File) (n Namespace, err error) {
	if made != nil {
		err = os.NewSyscallError("setns", unix.Setns(int(made.Fd()), unix.CLONE_NEWNET))
	} else {
		err = os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET))
	}
	if err != nil {
		return n, err
	}
	if err := errors.Join(applySettings(), raiseLoopback()); err != nil {
		return n, err
	}
	// The kernel says no where parts of the host's own /sys are covered; they would come to light.
	err = sys.Mount("sysfs", sysfs, "sysfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err != nil && !errors.Is(err, unix.EPERM) {
		return n, err
	}
	n.Sysfs = err == nil
	if err := dropCapabilities(); err != nil {
		return n, err
	}
	n.Path = fmt.Sprintf("/proc/%d/ns/net", unix.Gettid())
	return n, nil
}

// raiseLoopback brings up the loopback device of the thread's namespace; the kernel gives it its addresses.
func raiseLoopback() (err error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { err = errors.Join(err, unix.Close(socket)) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request))
}

// dropCapabilities leaves the thread none. pasta keeps few of its own before it opens the namespace by this thread's entry in
// /proc, and the kernel lets nobody look who has less than the thread (ptrace(2)). Its security profiles on Debian and Ubuntu
// allow no better path.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return os.NewSyscallError("capset", unix.Capset(&header, &none[0]))
}

// settings of the namespace. Every user takes every port and sends pings, as in docker's: there is nobody else in it. And its addresses
// are of use at once: there is nobody who could have them already, for whom the kernel would wait a second (RFC 4862, duplicate address
// detection).
var settings = map[string]string{
	"ipv4/ip_unprivileged_port_start": "0",
	"ipv4/ping_group_range":           "0 0",
	"ipv6/conf/default/accept_dad":    "0",
}

// applySettings writes them. A file that the kernel does not have, or that somebody has made read-only, costs just that.
func applySettings() error {
	for name, value := range settings {
		err := writeSetting("/proc/sys/net/"+name, value)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EROFS) && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

func writeSetting(path, value string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(value)
	return err
}
