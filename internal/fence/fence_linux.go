//go:build cgo

package fence

// #include "fence.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// outside takes what is to be done on the one thread that is not confined; nil as long as none is.
var outside atomic.Pointer[chan func()]

// Around confines this process to writing below directories. It may be called once. On an error some of its threads may be
// confined.
func Around(dirs ...string) error {
	if !Possible() {
		return nil
	}
	ruleset, err := newRuleset(dirs)
	if lacking(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("confining this process: %w", err)
	}
	free, thread := keepOneOutside()
	errno := syscall.Errno(C.coracle_fence(C.int(ruleset.Fd()), C.int(thread)))
	outside.Store(&free)
	closed := ruleset.Close()
	if errno != 0 && !lacking(errno) {
		return fmt.Errorf("confining this process: %w", errors.Join(os.NewSyscallError("landlock_restrict_self", errno), closed))
	}
	return closed
}

// keepOneOutside starts a thread that does what it is sent, one after the other. The runtime starts no thread from one that a
// goroutine has locked.
func keepOneOutside() (free chan func(), thread int) {
	free = make(chan func())
	started := make(chan int)
	go func() {
		runtime.LockOSThread()
		started <- unix.Gettid()
		for f := range free {
			f()
		}
	}()
	return free, <-started
}

// Outside calls f on a thread that is not confined: the processes that f starts are not, either. It is for programs of the host
// that a user has chosen, which write where they like, and for those that are to gain privileges. f must not call Outside.
func Outside(f func() error) (err error) {
	free := outside.Load()
	if free == nil {
		return f()
	}
	done := make(chan struct{})
	*free <- func() {
		defer close(done)
		err = f()
	}
	<-done
	return err
}

// lacking reports whether an error says that there is no Landlock: not built in, switched off, or forbidden by a filter.
func lacking(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM)
}
