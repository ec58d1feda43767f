package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrElsewhere is of owners that cannot be reached from here: on another host, or in another container of this one.
var ErrElsewhere = errors.New("it runs elsewhere")

// Signal sends the owner a signal, and nobody else who may have got its number. An owner that has ended takes none, which is no error.
func (o Owner) Signal(sig unix.Signal) error {
	if err := o.Here(); err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(o.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	if o.Dead() { // the number is another's by now; from here on the descriptor holds the process
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return nil
}

// Here is nil for an owner that can be reached from here, and else ErrElsewhere.
func (o Owner) Here() error {
	self, err := Self()
	if err != nil {
		return err
	}
	if o.BootID != self.BootID || o.PIDSpace != self.PIDSpace {
		return fmt.Errorf("%w: on %s", ErrElsewhere, o.Host)
	}
	return nil
}
