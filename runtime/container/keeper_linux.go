package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/runtime/idmap"
)

// keeper is the supervisor's hold on the keeper process.
type keeper struct {
	socket  *os.File // requests out, replies in
	replies *json.Decoder
	pid     int
	end     func() error  // sends it SIGKILL; os.ErrProcessDone: it has ended
	said    *head         // what it printed, for the case that it dies without a reply
	output  *os.File      // adopted: where that is read from
	done    chan struct{} // closed when it has been reaped
	usage   Usage         // valid once done
}

// adopted is the keeper that was cloned before Go booted, until it is used; nil: there is none.
var adopted atomic.Pointer[orphan]

// orphan is a keeper of which no more is known than what its cloner has left.
type orphan struct {
	pid          int
	socket, said uintptr
}

// Adopt takes over a keeper that initproc has cloned out of this process, with this process's end of its socket and what it
// prints. The next Prepare uses it. It ends with this process, as one that was started from here: the thread that cloned it is
// the first one, which the Go runtime keeps.
func Adopt(pid int, socket, said uintptr) { adopted.Store(&orphan{pid, socket, said}) }

// Forgo ends the keeper that was cloned, if there is one, for a process that will run no container itself.
func Forgo() error {
	o := adopted.Swap(nil)
	if o == nil {
		return nil
	}
	k, err := o.keeper()
	if err != nil {
		return fmt.Errorf("%w: taking over its keeper: %w", ErrStart, err)
	}
	return k.kill()
}

// keeper takes hold of the process.
func (o *orphan) keeper() (*keeper, error) {
	if err := unix.SetNonblock(int(o.socket), true); err != nil { // read through Go's poller, so that Close ends a Read
		return nil, os.NewSyscallError("fcntl", err)
	}
	socket := os.NewFile(o.socket, "socket")
	child := sys.NewChild(o.pid)
	end := func() error { return child.Kill(unix.SIGKILL, false) }
	k := &keeper{socket: socket, replies: json.NewDecoder(socket), pid: o.pid, end: end, said: &head{}, done: make(chan struct{})}
	k.output = os.NewFile(o.said, "said")
	go k.watch(child)
	return k, nil
}

// watch waits for an adopted keeper.
func (k *keeper) watch(child *sys.Child) {
	_, _ = io.Copy(k.said, k.output) // ends with the keeper
	_ = k.output.Close()
	_, usage := child.Wait()
	k.usage = NewUsage(&usage)
	close(k.done)
}

// note keeps what a keeper that has ended and its container used. How it ended is told by its replies, or by their absence.
func (k *keeper) note(state *os.ProcessState) {
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		k.usage = NewUsage(usage)
	}
}

// newKeeper is one that is there already, or is started. The one that is there has the caller for its only user.
func newKeeper(ids host.IDMap) (*keeper, error) {
	o := adopted.Swap(nil)
	if o == nil {
		return startKeeper(ids)
	}
	k, err := o.keeper()
	if err != nil {
		return nil, fmt.Errorf("%w: taking over its keeper: %w", ErrStart, err)
	}
	if ids.IsZero() {
		return k, nil
	}
	if err := k.kill(); err != nil {
		return nil, err
	}
	return startKeeper(ids)
}

// startKeeper starts this program again, as root of a new user namespace that maps it to the caller, in mount and pid
// namespaces of its own. With a map there are others beside root.
func startKeeper(ids host.IDMap) (*keeper, error) {
	socket, peer, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	k := &keeper{socket: socket, replies: json.NewDecoder(socket), said: &head{}, done: make(chan struct{})}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{KeeperArg}
	cmd.Env = trace.Environ()         // nothing else of the caller's environment is its business
	cmd.ExtraFiles = []*os.File{peer} // becomes KeeperSocket
	cmd.Stdout, cmd.Stderr = k.said, k.said
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
		Setsid:     true, // what a terminal's keys send is for the supervisor alone
		Pdeathsig:  unix.SIGKILL,
	}
	if !ids.IsZero() {
		return k.startMapped(cmd, ids)
	}
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}} // and setgroups denied
	return k.start(cmd)
}

func (k *keeper) start(cmd *exec.Cmd) (*keeper, error) {
	started := make(chan error)
	go k.own(cmd, started)
	if err := <-started; err != nil {
		return nil, errors.Join(explainStart(err), k.socket.Close())
	}
	k.pid, k.end = cmd.Process.Pid, cmd.Process.Kill
	return k, nil
}

// startMapped has the keeper wait until its maps are written, which takes programs of the host.
func (k *keeper) startMapped(cmd *exec.Cmd, ids host.IDMap) (_ *keeper, err error) {
	gate, err := idmap.NewGate(cmd, ids)
	if err != nil {
		return nil, errors.Join(err, k.socket.Close())
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	if _, err := k.start(cmd); err != nil {
		return nil, err
	}
	if err := gate.Open(k.pid); err != nil {
		return nil, errors.Join(err, k.kill())
	}
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
	_ = cmd.Wait()
	k.note(cmd.ProcessState)
	close(k.done)
}

// ask sends the request and returns the answer.
func (k *keeper) ask(r Request) (Reply, error) {
	if err := k.tell(r); err != nil {
		return Reply{}, err
	}
	return k.reply()
}

// tell sends one message.
func (k *keeper) tell(message any) error {
	err := k.send(message)
	if err == nil {
		return nil
	}
	if _, why := k.reply(); why != nil { // it has died, and may have said of what
		return why
	}
	return fmt.Errorf("%w: speaking to its keeper: %w", ErrStart, err)
}

func (k *keeper) send(message any) error { return json.NewEncoder(k.socket).Encode(message) }

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
		return r, r.failure()
	}
	return r, nil
}

// wait waits until the keeper, and with it every process of the container, is gone.
func (k *keeper) wait() Usage {
	<-k.done
	_ = k.socket.Close() // nobody is at the other end
	return k.usage
}

// release tells the keeper that nothing more will come.
func (k *keeper) release() error {
	if err := k.socket.Close(); !errors.Is(err, os.ErrClosed) { // by wait: it has died
		return err
	}
	return nil
}

// kill ends the keeper, its pid namespace and so the container, and waits for that. The kernel lets nobody go who waits for a
// file system that does not answer; then the end comes when that does.
func (k *keeper) kill() error {
	if err := k.end(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-k.done:
		k.wait()
		return nil
	case <-time.After(keeperGrace):
		return fmt.Errorf("%w: the kernel does not let its keeper end", ErrStart)
	}
}

// expire ends the keeper after some time, and whatever waits for it or for the other end of one more socket. What it returns takes
// that back, and reports false when it is too late for that.
func (k *keeper) expire(patience time.Duration, control *os.File) (takeBack func() bool) {
	return time.AfterFunc(patience, func() {
		_ = k.end() // has ended already, or else the two below are all that can be done
		_ = control.Close()
		_ = k.socket.Close()
	}).Stop
}

// explainStart says why the kernel gave no namespaces: the host has the reason, where there is one.
func explainStart(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
		return explainNamespaces(err)
	}
	return fmt.Errorf("%w: starting its keeper: %w", ErrStart, err)
}

// explainNamespaces names the host's setting rather than the error number that it leads to, which misleads: a limit of
// namespaces comes as "no space left on device".
func explainNamespaces(err error) error {
	if reason := host.UserNamespaceProblem(err); reason != nil {
		err = reason
	}
	return fmt.Errorf("%w: %w", ErrUserNamespaces, err)
}

// explainProc names what keeps the kernel from mounting a /proc that shows the container's processes. That of the host is no
// substitute: it shows everybody else's.
func explainProc(err error) error {
	const shown = 3
	covered := host.CoveredProc()
	if len(covered) == 0 {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	list := strings.Join(covered[:min(shown, len(covered))], ", ")
	if more := len(covered) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("%w: inside another container, of whose /proc parts are covered (%s): %w", ErrProc, list, err)
}

// head keeps the beginning of what is written to it: a program that crashes says why first.
type head struct{ text []byte }

const headSize = 1 << 10

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), headSize-len(h.text))]...)
	return len(p), nil
}

// String is the first line, led in by a colon, or nothing.
func (h *head) String() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(h.text)), "\n")
	if line == "" {
		return ""
	}
	return ": " + line
}
