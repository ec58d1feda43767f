package control

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peerOf is what the kernel says of the process at the other end: who connected, or who listened (SO_PEERCRED, unix(7)).
func peerOf(socket *net.UnixConn) (*unix.Ucred, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	var optErr error
	err = raw.Control(func(fd uintptr) { peer, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, os.NewSyscallError("getsockopt(SO_PEERCRED)", optErr)); err != nil {
		return nil, err
	}
	return peer, nil
}

// userNamespace is the user namespace of this process. Whoever has it has shown to be in it, or outside: see the package.
func userNamespace() (*os.File, error) { return os.Open("/proc/self/ns/user") }

// checkOutside makes sure that a file is the user namespace of this process.
func checkOutside(file *os.File) error {
	own, err := userNamespace()
	if err != nil {
		return fmt.Errorf("looking at the user namespace: %w", err)
	}
	defer own.Close()
	want, err := own.Stat()
	if err != nil {
		return fmt.Errorf("looking at the user namespace: %w", err)
	}
	if got, err := file.Stat(); err != nil || !os.SameFile(got, want) {
		return errStranger
	}
	return nil
}
