package proc

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/socket"
	"github.com/coracle-run/coracle/internal/sys"
)

// PeerPids are the numbers that the peer of a socket has, from this process's pid namespace on: one if it is in the same, one more for
// each namespace further down. Nobody leaves a pid namespace, so that this tells who is in a container, whatever else they show. From
// Linux 6.5 on it is certain that nobody else has got the number meanwhile.
func PeerPids(conn syscall.Conn) (pids []int, err error) {
	peer, err := socket.Peer(conn)
	if err != nil {
		return nil, err
	}
	if peer.Pid <= 0 {
		return nil, errors.New("the process at the other end is in no pid namespace below this one")
	}
	alive, err := peerAlive(conn)
	if err != nil {
		return nil, err
	}
	status, err := ReadStatus(int(peer.Pid))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrPeerGone
	}
	if err := errors.Join(err, alive()); err != nil {
		return nil, err
	}
	return status.PIDs(), nil
}

// peerAlive holds the peer of a socket, where the kernel can. The function that it returns, to be called once, says whether that has ended.
func peerAlive(conn syscall.Conn) (alive func() error, err error) {
	var pidfd int
	err = socket.Control(conn, func(fd int) (err error) {
		pidfd, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		return err
	})
	switch {
	case errors.Is(err, unix.ENOPROTOOPT): // before Linux 6.5
		return func() error { return nil }, nil
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL): // it has been waited for
		return nil, ErrPeerGone
	case err != nil:
		return nil, os.NewSyscallError("getsockopt(SO_PEERPIDFD)", err)
	}
	return func() error {
		ended := 0
		err := sys.Retry(func() (err error) {
			ended, err = unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
			return err
		})
		if ended > 0 {
			err = ErrPeerGone
		}
		return errors.Join(err, sys.Close(pidfd))
	}, nil
}
