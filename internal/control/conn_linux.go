package control

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxFiles is how many descriptors one message brings at most.
	MaxFiles = 8
	// maxMessage is how long one may be, in bytes: a command line and an environment are 2 MiB at most (execve(2)).
	maxMessage = 8 << 20
	headSize   = 4 // the length of what follows, big endian
)

// sendPatience is how long a peer may take to make room for a message. Tests have less.
var sendPatience = 10 * time.Second

// Conn is one conversation. Send may be called by several goroutines, and Receive by one.
type Conn struct {
	socket  *net.UnixConn
	sending sync.Mutex
}

// Send sends one message, and descriptors with it, which stay open here.
func (c *Conn) Send(message any, files ...*os.File) error {
	text, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	switch {
	case len(text) > maxMessage:
		return fmt.Errorf("sending: %w", errTooLong)
	case len(files) > MaxFiles:
		return fmt.Errorf("sending: %w", errTooMany)
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	if err := c.socket.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	var rights []byte
	if len(files) > 0 {
		if rights, err = rightsOf(files); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
	}
	if _, _, err := c.socket.WriteMsgUnix(head, rights, nil); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if _, err := c.socket.Write(text); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// rightsOf is the control message that brings files (SCM_RIGHTS, unix(7)). Their descriptors are looked at without a change of
// their flags, which they share with other processes.
func rightsOf(files []*os.File) ([]byte, error) {
	fds := make([]int, len(files))
	for i, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, err
		}
		if err := raw.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
			return nil, err
		}
	}
	return unix.UnixRights(fds...), nil
}

// Receive takes the next message. The files that came with it are the caller's to close. The error is io.EOF at the end of the
// conversation.
func (c *Conn) Receive(message any) (files []*os.File, err error) {
	size, files, err := c.head()
	if err == nil {
		err = c.body(size, message)
	}
	if err != nil {
		CloseAll(files)
		return nil, err
	}
	return files, nil
}

// head reads what a message begins with: its length, and descriptors.
func (c *Conn) head() (size uint32, files []*os.File, err error) {
	defer func() {
		if err != nil {
			CloseAll(files)
			files = nil
		}
	}()
	var head [headSize]byte
	for got := 0; got < len(head); {
		n, more, err := c.readWithFiles(head[got:])
		files = append(files, more...)
		switch {
		case errors.Is(err, io.EOF) && got > 0:
			return 0, files, io.ErrUnexpectedEOF
		case err != nil:
			return 0, files, err
		case len(files) > MaxFiles:
			return 0, files, fmt.Errorf("receiving: %w", errTooMany)
		}
		got += n
	}
	if size = binary.BigEndian.Uint32(head[:]); size > maxMessage {
		return 0, files, fmt.Errorf("receiving: %w", errTooLong)
	}
	return size, files, nil
}

// readWithFiles reads once.
func (c *Conn) readWithFiles(into []byte) (n int, files []*os.File, err error) {
	space := make([]byte, unix.CmsgSpace(4*MaxFiles))
	n, used, flags, _, err := c.socket.ReadMsgUnix(into, space)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = fmt.Errorf("receiving: %w", err)
		}
		return n, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(space[:used])
	if err != nil {
		return n, nil, fmt.Errorf("receiving: %w", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // it is of another type, and brings none
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	if flags&unix.MSG_CTRUNC != 0 { // the kernel has closed what there was no space for
		return n, files, fmt.Errorf("receiving: %w", errTooMany)
	}
	return n, files, nil
}

// body reads a message. Its memory is taken as it comes: a length is easily claimed. Descriptors that come in the middle are closed
// by the kernel.
func (c *Conn) body(size uint32, message any) error {
	text, err := io.ReadAll(io.LimitReader(c.socket, int64(size)))
	if err == nil && len(text) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("receiving: %w", err)
	}
	if err := json.Unmarshal(text, message); err != nil {
		return fmt.Errorf("receiving: %w", err)
	}
	return nil
}

// Close ends the conversation, and what waits in Send or Receive. The second time it does nothing.
func (c *Conn) Close() error {
	if err := c.socket.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// CloseAll closes files that were received and are held for passing on only.
func CloseAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // the second time it does nothing
	}
}
