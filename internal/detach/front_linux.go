package detach

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

const (
	// variable tells a program that it is a link. It takes it out of its environment at once.
	variable = "CORACLE_LINK"
	// socket is the link's end of what joins it to its front.
	socket = 3
	// longest word that a link parts with.
	longest = 256
)

// End is how a front comes to its end.
type End struct {
	Parted bool   // the link goes on by itself
	Word   string // that it parted with
	Code   int    // a link's that has ended: its status as a shell would give it
}

// Start runs this program again as a link, passes signals on to it, and returns when it has parted or has ended. Of the signals
// those that are ignored stay so. Once the link has its own copy of this process's environment, started is called.
func Start(signals []os.Signal, started func() error) (end End, err error) {
	if err := sys.KeepDescriptors(); err != nil { // those that the caller has open, a lock say, are none of the link's
		return End{}, fmt.Errorf("starting the supervisor: %w", err)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return End{}, fmt.Errorf("starting the supervisor: %w", os.NewSyscallError("socketpair", err))
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "link"), os.NewFile(uintptr(ends[1]), "front")
	defer func() { err = errors.Join(err, ours.Close()) }()
	coming := make(chan os.Signal, 16)
	for _, s := range signals {
		if !signal.Ignored(s) {
			signal.Notify(coming, s)
		}
	}
	defer signal.Stop(coming)

	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs} // becomes socket
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
		return End{}, fmt.Errorf("starting the supervisor: %w", err)
	}
	if err := started(); err != nil {
		return End{}, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	heard := make(chan End, 1)
	go func() { heard <- listen(ours, cmd) }()
	for {
		select {
		case s := <-coming:
			_ = cmd.Process.Signal(s) // one that has ended needs none
		case end := <-heard:
			return end, nil
		}
	}
}

// listen waits for the link's word, or its end.
func listen(from *os.File, cmd *exec.Cmd) End {
	buf := make([]byte, longest)
	n, err := from.Read(buf)
	if err == nil && n > 0 {
		return End{Parted: true, Word: string(buf[:n])}
	}
	_ = cmd.Wait() // how it ended is in its state
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return End{Code: 128 + int(status.Signal())}
	}
	return End{Code: cmd.ProcessState.ExitCode()}
}
