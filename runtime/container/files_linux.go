package container

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxFiles is how many descriptors one message brings at most.
const maxFiles = 16

// SendFiles sends descriptors over a stream socket (SCM_RIGHTS, unix(7)), ahead of what is written to it next. The files stay
// open here.
func SendFiles(socket *os.File, files []*os.File) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		sendErr = unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	return errors.Join(err, os.NewSyscallError("sendmsg", sendErr))
}

// ReceiveFiles takes what SendFiles has sent.
func ReceiveFiles(socket *os.File) ([]*os.File, error) {
	fds, err := receive(socket, 1)
	if err != nil {
		return nil, err
	}
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "received")
	}
	return files, nil
}

// receiveConsole takes a terminal as libcontainer sends it: with a name, which says nothing here.
func receiveConsole(socket *os.File) (*os.File, error) {
	fds, err := receive(socket, 4096)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // so that Close ends a Read
		return nil, errors.Join(err, unix.Close(fds[0]))
	}
	return os.NewFile(uintptr(fds[0]), "console"), nil
}

// receive takes one message of at most so many bytes, and the descriptors with it: at least one.
func receive(socket *os.File, most int) (fds []int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	text, control := make([]byte, most), make([]byte, unix.CmsgSpace(4*maxFiles))
	var n, controlLen int
	var recvErr error
	err = raw.Read(func(fd uintptr) bool {
		n, controlLen, _, _, recvErr = unix.Recvmsg(int(fd), text, control, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(recvErr, unix.EAGAIN)
	})
	if err := errors.Join(err, os.NewSyscallError("recvmsg", recvErr)); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlLen])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return unix.ParseUnixRights(&messages[0])
}
