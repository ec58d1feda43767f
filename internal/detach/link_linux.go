package detach

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Link is this process's hold on its front.
type Link struct {
	front *os.File

	mu     sync.Mutex
	parted bool
}

// Taken is the link that this process is; nil: it is none, but a process that somebody has started himself. The first call comes
// before other programs are started.
func Taken() *Link { return taken() }

var taken = sync.OnceValue(take)

func take() *Link {
	if os.Getenv(variable) == "" {
		return nil
	}
	_ = os.Unsetenv(variable) // cannot fail for such a name
	if kind, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return nil // the variable is somebody's own
	}
	unix.CloseOnExec(socket)
	if err := unix.SetNonblock(socket, true); err != nil { // read through Go's poller, so that Close ends a Read
		return nil
	}
	l := &Link{front: os.NewFile(socket, "front")}
	go l.watch()
	return l
}

// watch asks this process to end when the front has gone without a parting. Nobody would hear of what has been begun.
func (l *Link) watch() {
	_, _ = io.Copy(io.Discard, l.front) // says nothing, but ends
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.parted {
		sig := unix.SIGHUP // as of a terminal that is gone
		if signal.Ignored(sig) {
			sig = unix.SIGTERM
		}
		_ = unix.Kill(os.Getpid(), sig) // cannot fail
	}
}

// Part lets go of the caller: of its streams, whose places /dev/null takes, and of the directory. Then the front is told a word,
// and ends. It is called once.
func (l *Link) Part(word string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parted = true
	err := letGo()
	_, sendErr := l.front.WriteString(word)
	if errors.Is(sendErr, unix.EPIPE) { // the front was killed just now, and this process has not been asked to end
		sendErr = nil
	}
	if err := errors.Join(err, sendErr, l.front.Close()); err != nil {
		return fmt.Errorf("letting go of the caller: %w", err)
	}
	return nil
}

// letGo keeps nothing that the caller could wait for: the end of a pipe, a terminal, a directory on a file system that is to be
// unmounted.
func letGo() (err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, null.Close()) }()
	var errs []error
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			errs = append(errs, os.NewSyscallError("dup3", err))
		}
	}
	return errors.Join(append(errs, os.Chdir("/"))...)
}
