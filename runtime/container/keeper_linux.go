package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
)

// keeper is the supervisor's hold on the keeper process.
type keeper struct {
	socket  *os.File // requests out, replies in
	replies *json.Decoder
	process *os.Process
	said    *tail         // what it printed, for the case that it dies without a reply
	done    chan struct{} // closed when it has been reaped
	usage   Usage         // valid once done
}

// startKeeper starts this program again, as root of a new user namespace that maps it to the caller, in mount and pid
// namespaces of its own. files become its descriptors from KeeperInit on.
func startKeeper(files []*os.File) (*keeper, error) {
	socket, peer, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	k := &keeper{socket: socket, replies: json.NewDecoder(socket), said: &tail{}, done: make(chan struct{})}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{KeeperArg}
	cmd.Env = []string{} // nothing of the caller's environment is its business
	cmd.ExtraFiles = append([]*os.File{peer}, files...)
	cmd.Stdout, cmd.Stderr = k.said, k.said
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}, // and setgroups denied
		Setsid:      true,                                                                    // what a terminal's keys send is for the supervisor alone
		Pdeathsig:   unix.SIGKILL,
	}
	started := make(chan error)
	go k.own(cmd, started)
	if err := <-started; err != nil {
		return nil, errors.Join(explainStart(err), socket.Close())
	}
	k.process = cmd.Process
	return k, nil
}

// own starts the keeper and waits for it, all on one thread: the kernel sends the death signal when the thread that made
// the child ends, not the process (prctl(2), PR_SET_PDEATHSIG).
func (k *keeper) own(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = cmd.Wait() // how it ended is told by its replies, or by their absence
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		k.usage = NewUsage(usage)
	}
	close(k.done)
}

// reply reads the keeper's next message; a failure that it reports becomes the error it stands for.
func (k *keeper) reply() (Reply, error) {
	var r Reply
	if err := k.replies.Decode(&r); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			<-k.done
			return r, fmt.Errorf("%w: its keeper died%s", ErrStart, k.said)
		}
		return r, fmt.Errorf("%w: hearing from its keeper: %w", ErrStart, err)
	}
	if r.Failed != "" {
		return r, fmt.Errorf("%w: %s", r.Fault.sentinel(), r.Failed)
	}
	return r, nil
}

// wait waits until the keeper, and with it every process of the container, is gone.
func (k *keeper) wait() Usage {
	<-k.done
	_ = k.socket.Close() // nobody is at the other end
	return k.usage
}

// kill ends the keeper, its pid namespace and so the container, and waits for that.
func (k *keeper) kill() error {
	if err := k.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	k.wait()
	return nil
}

// explainStart says why the kernel gave no namespaces: the host has the reason, where there is one.
func explainStart(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
		return fmt.Errorf("%w: %w", explainNamespaces(), err)
	}
	return fmt.Errorf("%w: starting its keeper: %w", ErrStart, err)
}

func explainNamespaces() error {
	if reason := host.UserNamespaceProblem(); reason != nil {
		return fmt.Errorf("%w: %w", ErrUserNamespaces, reason)
	}
	return ErrUserNamespaces
}

// tail keeps the end of what is written to it.
type tail struct{ text bytes.Buffer }

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text.Write(p)
	if over := t.text.Len() - tailSize; over > 0 {
		t.text.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	said := strings.TrimSpace(t.text.String())
	if said == "" {
		return ""
	}
	return ": " + said
}
