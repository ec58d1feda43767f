package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// ErrNoSocket says that what has the name is something else.
var ErrNoSocket = errors.New("it is no socket")

// Listen makes a socket and listens. Where something has its name already, as the socket of a process that was killed, the error wraps
// EADDRINUSE. Closing it does not remove the name.
func Listen(dir, name string) (*net.UnixListener, error) {
	fd, err := openPlace(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, failed(dir, name, err)
	}
	defer func() { _ = sys.Close(fd) }() // held for its path only
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: sys.FDPath(fd) + "/" + name})
	if err != nil {
		return nil, failed(dir, name, err)
	}
	listener.SetUnlinkOnClose(false) // by that short name
	return listener, nil
}

// Bind makes a socket for whoever gets it to listen at, whom Peer will then name. Closing it does not remove the name.
func Bind(dir, name string) (_ *os.File, err error) {
	place, err := openPlace(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, failed(dir, name, err)
	}
	defer func() { _ = sys.Close(place) }() // held for its path only
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, failed(dir, name, os.NewSyscallError("socket", err))
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: sys.FDPath(place) + "/" + name}); err != nil {
		return nil, failed(dir, name, errors.Join(os.NewSyscallError("bind", err), sys.Close(fd)))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Dial connects to a socket. The error wraps fs.ErrNotExist where there is none, ECONNREFUSED where nobody listens any more, EAGAIN
// where the listener does not keep up, and ErrNoSocket.
func Dial(dir, name string) (*net.UnixConn, error) {
	conn, err := dial(dir, name)
	if err != nil {
		return nil, failed(dir, name, err)
	}
	return conn, nil
}

func dial(dir, name string) (*net.UnixConn, error) {
	fd, err := openPlace(filepath.Join(dir, name), unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sys.Close(fd) }() // held for its path only
	var st unix.Stat_t
	if err := sys.Retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, ErrNoSocket
	}
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: sys.FDPath(fd)}) // that very file, whatever has its name meanwhile
}

// openPlace opens a path as a place.
func openPlace(path string, flags int) (fd int, err error) {
	err = sys.Retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
		return err
	})
	return fd, os.NewSyscallError("open", err)
}

// failed names the socket by its path, and not by that of a descriptor.
func failed(dir, name string, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = &net.OpError{Op: op.Op, Net: op.Net, Err: op.Err}
	}
	return fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
}

// Peer is what the kernel says of the process at the other end (SO_PEERCRED, unix(7)): who connected, or who listened, at the time when
// it did. Its ids are those that they have here: of a pid namespace beside this one there is none, and a user who has no number in this
// user namespace is the overflow one.
func Peer(conn syscall.Conn) (peer *unix.Ucred, err error) {
	err = Control(conn, func(fd int) (err error) {
		peer, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return os.NewSyscallError("getsockopt(SO_PEERCRED)", err)
	})
	if err != nil {
		return nil, err
	}
	return peer, nil
}

// Control does something with the descriptor of a socket, which stays open meanwhile.
func Control(conn syscall.Conn, do func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	err = raw.Control(func(fd uintptr) { doErr = do(int(fd)) })
	return errors.Join(err, doErr)
}
