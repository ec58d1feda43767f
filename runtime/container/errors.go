package container

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Errors of Start and Exec. ErrNotFound and ErrNotExecutable are about the job's command, ErrUser about the image's or the caller's
// choice of user, ErrMount about a volume, ErrHook about what a device needs done before the job, ErrNetwork about a network of its own; everything else is ErrStart
// or ErrExec. ErrEnded is about a job that is no more, ErrForeign about a shared container.
var (
	ErrNotFound       = errors.New("command not found")
	ErrNotExecutable  = errors.New("command cannot be executed")
	ErrUser           = errors.New("user cannot be used")
	ErrMount          = errors.New("cannot mount")
	ErrHook           = errors.New("a device's hook failed")
	ErrStart          = errors.New("cannot start the container")
	ErrExec           = errors.New("cannot run a command in the container")
	ErrNetwork        = errors.New("cannot give the container its network")
	ErrEnded          = errors.New("the job has ended")
	ErrForeign        = errors.New("somebody else answers in place of its keeper")
	ErrUserNamespaces = errors.New("cannot make a user namespace")
	ErrProc           = errors.New("cannot mount /proc for the container")
)

// commandError says why the kernel did not run the job's command, in terms of the image.
func commandError(command string, errno syscall.Errno) error {
	switch errno {
	case unix.ENOENT, unix.ENOTDIR:
		if command == "" {
			return fmt.Errorf("%w: its name is empty", ErrNotFound)
		}
		if strings.Contains(command, "/") {
			return fmt.Errorf("%w: %s: no such file in the image", ErrNotFound, command)
		}
		return fmt.Errorf("%w: %s: not in the PATH of the image", ErrNotFound, command)
	case unix.ELIBACC:
		return fmt.Errorf("%w: %s: the file is there, but its interpreter or loader (its #! line, or the library loader it was linked for) is not in the image", ErrNotFound, command)
	case unix.EACCES:
		return fmt.Errorf("%w: %s: permission denied: it is a directory or has no execute permission", ErrNotExecutable, command)
	case unix.ENOEXEC:
		return fmt.Errorf("%w: %s: exec format error: made for another architecture, or a script without a #! line", ErrNotExecutable, command)
	default:
		return fmt.Errorf("%w: %s: %w", ErrNotExecutable, command, errno)
	}
}
