package terminal

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The ends of a pipe.
const (
	ReadEnd = iota
	WriteEnd
)

// Pipe makes a pipe of which one end is ours. The other one blocks, as programs expect, which it does not where os.Pipe has made it.
func Pipe(end int) (ours, theirs *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if err := unix.SetNonblock(fds[end], true); err != nil { // so that a Read can be ended
		return nil, nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[end]), "pipe"), os.NewFile(uintptr(fds[1-end]), "pipe"), nil
}

// Input is what a program gets in the place of a caller's standard input: the caller's own pipe, or the end of another one, into
// which somebody has to copy. That is nil for a pipe of the caller's.
func Input(in *os.File) (theirs, copied *os.File, err error) {
	if !isPipe(in) {
		copied, theirs, err = Pipe(WriteEnd)
	} else {
		theirs, err = duplicate(in)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("taking over standard input: %w", err)
	}
	return theirs, copied, nil
}

// isPipe is false for a named one, too, which has a place where it can be found.
func isPipe(f *os.File) bool {
	const pipefs = 0x50495045 // PIPEFS_MAGIC, linux/magic.h
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == pipefs
}

func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
