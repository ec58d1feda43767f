package container

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/internal/undo"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// Container is one running container, from the return of Start to that of Wait.
type Container struct {
	User    rootfs.User   // who the job is inside
	Made    rootfs.Made   // how its root was
	Images  []rootfs.Made // how the images among its volumes were
	Started time.Time     // when init started it

	since uint64 // the same, in nanoseconds of CLOCK_MONOTONIC

	keeper  *keeper
	control *os.File // init's control socket
	pid     int      // the job's, in the container
	further further
	console *os.File // the job's terminal, or nil
	command string
	hooks   []specs.Hook // that run inside, once nobody is told any more how they ended
	shared  *Shared      // nil: the container is the job's alone
	init    int          // pid of the rank's init in the container; 0: it is the only one

	over  sync.Once // for Over
	reply Reply     // of the keeper, that init has ended
	usage Usage     // of the keeper, where it has died without that reply

	leaveErr error // of leaving a shared container

	noInit  bool          // the job is PID 1, and the keeper has init's part in its end
	outside chan Outside  // what came to init from outside
	ended   chan struct{} // closed when the job's end has been reported, or can no longer be
	last    *Report       // init's report of it; nil: there was none
}

// Exit is how a job ended.
type Exit struct {
	Code   int           // as a shell would give it: 128+N when signal N ended it
	Signal unix.Signal   // 0: the job ended by itself
	Wall   time.Duration // from its start to its end as init saw them, else as they were noticed here
	Usage  Usage         // of every process of the container
	IO     IO            // likewise, without those of Exec; zero: not known
}

// Prepared is a keeper that waits for its container. Making it takes a third of a start, and needs nothing of what is to run:
// it goes on while the image is being found.
type Prepared struct {
	keeper *keeper
	err    error
	ready  chan struct{} // closed when keeper or err is set
}

// Prepare begins to make namespaces and returns at once; what goes wrong is told by Start. Either Start or Close must follow.
// Without a map, the caller is the only user inside.
func Prepare(ids host.IDMap) *Prepared {
	p := &Prepared{ready: make(chan struct{})}
	go func() {
		defer close(p.ready)
		p.keeper, p.err = newKeeper(ids)
	}()
	return p
}

// Close ends the keeper of a container that was not started, and does nothing after Start.
func (p *Prepared) Close() error {
	<-p.ready
	if p.keeper == nil {
		return nil
	}
	return p.keeper.kill()
}

// Pid is the process from which all of the container will come, in the caller's pid namespace. It waits for that.
func (p *Prepared) Pid() (int, error) {
	<-p.ready
	if p.err != nil {
		return 0, p.err
	}
	return p.keeper.pid, nil
}

// Owner is the same process, by all that tells it from others. It fails as Start does when that has died.
func (p *Prepared) Owner() (host.Owner, error) {
	pid, err := p.Pid()
	if err != nil {
		return host.Owner{}, err
	}
	owner, err := host.Child(pid)
	if errors.Is(err, fs.ErrNotExist) {
		_, why := p.keeper.reply()
		err = cmp.Or(why, err)
	}
	return owner, err
}

// Start runs the job of a Config and returns when its own program has begun. It fails with one of the package's errors; then
// nothing is left running. Cancelling ctx before it returns ends the attempt; afterwards it has no effect. It is called once.
func (p *Prepared) Start(ctx context.Context, c Config) (_ *Container, err error) {
	<-p.ready
	if p.err != nil {
		return nil, p.err
	}
	var cleanup undo.Stack
	defer func() {
		if err != nil {
			err = errors.Join(err, cleanup.Run())
		}
	}()
	cleanup.Add(p.keeper.kill)
	trace.Mark(trace.Run, "keeper awaited")
	box := &Container{keeper: p.keeper, command: c.Spec.Process.Args[0], noInit: c.NoInit, ended: make(chan struct{}), outside: make(chan Outside, 16)}
	if c.Spec.Hooks != nil {
		box.hooks = c.Spec.Hooks.StartContainer
	}
	consoles, err := box.connect(c)
	if err != nil {
		return nil, err
	}
	cleanup.Add(box.control.Close)
	cleanup.Add(box.further.socket.Close)
	if consoles != nil {
		defer consoles.Close()
	}
	if err := box.begin(ctx, c); err != nil {
		return nil, err
	}
	if consoles != nil {
		if box.console, err = receiveConsole(consoles); err != nil {
			return nil, fmt.Errorf("%w: receiving its terminal: %w", ErrStart, err)
		}
	}
	p.keeper = nil
	cleanup.Release()
	go box.listen()
	return box, nil
}

// connect makes the sockets between here and init and sends their other ends to the keeper, which passes them on, with the job's
// streams. The socket that it returns will bring the job's terminal; nil: it has none. No copy of the other ends stays here:
// init's death would not be noticed.
func (b *Container) connect(c Config) (consoles *os.File, err error) {
	control, peer, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	further, furtherPeer, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	defer furtherPeer.Close()
	files := []*os.File{peer, furtherPeer, c.Stdin, c.Stdout, c.Stderr}
	if c.Terminal != nil {
		var consolePeer *os.File
		if consoles, consolePeer, err = socketPair(unix.SOCK_STREAM); err != nil {
			return nil, errors.Join(err, control.Close(), further.Close())
		}
		defer consolePeer.Close()
		files = []*os.File{peer, furtherPeer, consolePeer}
	}
	if c.Launcher != nil {
		files = append(files, c.Launcher)
	}
	if err := SendFiles(b.keeper.socket, files); err != nil {
		_, why := b.keeper.reply() // it has died
		return nil, errors.Join(cmp.Or(why, err), control.Close(), further.Close())
	}
	b.control, b.further.socket = control, further
	return consoles, nil
}

// startPatience is how long a container may take from the request to its job, where 10 ms is usual. It is for file systems that
// do not answer.
var startPatience = 2 * time.Minute

// begin hands the request over and waits for the keeper's answer and then for init's. Until the keeper is told to go on, ctx ends
// the attempt; from then on the job may run at any moment, and is not to be killed for an end that it was only asked for.
func (b *Container) begin(ctx context.Context, c Config) (err error) {
	unhurt := b.keeper.expire(startPatience, b.control)
	defer func() {
		if !unhurt() {
			err = fmt.Errorf("%w: it has not begun within %s and was ended: does a volume lie on a file system that does not answer?", ErrStart, startPatience)
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = b.keeper.kill() })
	defer stop()
	entered := b.enter(c)
	trace.Mark(trace.Run, "asks the keeper")
	reply, err := b.keeper.ask(newRequest(c))
	trace.Mark(trace.Run, "user known")
	if !stop() {
		return fmt.Errorf("%w: %w", ErrStart, context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	if reply.User == nil {
		return fmt.Errorf("%w: the keeper gave no answer", ErrStart)
	}
	b.User, b.Made, b.Images = *reply.User, reply.Made, reply.Images
	if err := <-entered; err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	if err := b.keeper.tell(Go{}); err != nil {
		return err
	}
	report, err := b.began()
	if err != nil {
		return err
	}
	b.since, b.pid = report.Nanoseconds, int(report.Value)
	trace.MarkAt(b.since, trace.Init, "starts the job")
	b.Started = time.Now().Add(-b.elapsed())
	return nil
}

// enter has the keeper put where its limits are, while it is at work.
func (b *Container) enter(c Config) <-chan error {
	entered := make(chan error, 1)
	if c.Enter == nil {
		entered <- nil
		return entered
	}
	go func() { entered <- c.Enter(b.keeper.pid) }()
	return entered
}

// began waits until the job's program has begun, and returns init's report of when it was started.
func (b *Container) began() (Report, error) {
	report, err := b.report()
	if err != nil {
		if _, why := b.keeper.reply(); why != nil {
			return report, why
		}
		if len(b.hooks) > 0 {
			return report, fmt.Errorf("%w: %s (startContainer): it failed in the container", ErrHook, b.hooks[0].Path)
		}
		return report, fmt.Errorf("%w: its init ended without a word: %w", ErrStart, err)
	}
	if err := startFailure(report, b.command); err != nil || !b.noInit {
		return report, err
	}
	// Init is about to become the job. If it does, it says no more.
	if failure, err := b.report(); err == nil {
		return report, startFailure(failure, b.command)
	}
	return report, nil
}

// elapsed is the time since the job was started. It is what init says, however late it is heard here.
func (b *Container) elapsed() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail for a clock that every kernel has
	return time.Duration(uint64(now.Nano()) - b.since)
}

// until is the time from the job's start to another one of the same clock.
func (b *Container) until(nanoseconds uint64) time.Duration {
	return max(0, time.Duration(nanoseconds-b.since))
}

// startFailure turns init's first report into an error, nil for a job that runs.
func startFailure(r Report, command string) error {
	errno := syscall.Errno(r.Error)
	switch {
	case r.Kind == ReportStarted:
		return nil
	case r.Kind != ReportFailed:
		return fmt.Errorf("%w: its init spoke out of turn (%d)", ErrStart, r.Kind)
	case r.Value == StageExec:
		return commandError(command, errno)
	case r.Value == StageUser:
		return fmt.Errorf("%w: taking its ids: %w", ErrUser, errno)
	case r.Value == StageFork && errno == unix.ENOMEM: // pid_namespaces(7)
		return fmt.Errorf("%w: in its init: %s: %w; or the container's first process, which other ranks may share, was killed", ErrStart, stageNames[r.Value], errno)
	}
	return fmt.Errorf("%w: in its init: %s: %w", ErrStart, stageNames[r.Value], errno)
}

var stageNames = map[int32]string{
	StageConfig: "reading its configuration", StageFork: "starting the job's process", StageTerminal: "taking the terminal",
	StageJoin: "joining its namespaces", StageCapabilities: "dropping capabilities", StageSeccomp: "loading the seccomp filter",
	StageLimits: "setting the limits of its processes", StageDirectory: "entering its directory",
}

// report reads init's next message. Where init has ended before it read a signal for the job, a socket of messages says so once
// (ECONNRESET), before what init had said until then.
func (b *Container) report() (Report, error) {
	buf := make([]byte, ReportSize+1)
	n, err := b.control.Read(buf)
	if errors.Is(err, unix.ECONNRESET) {
		n, err = b.control.Read(buf)
	}
	if err != nil {
		return Report{}, err
	}
	return parseReport(buf[:n])
}

// Console is the master side of the job's terminal; nil when it has none. The caller closes it.
func (b *Container) Console() *os.File { return b.console }

// Signal delivers a signal to the job: SIGINT and SIGQUIT to its process group, as a terminal does, others to its first
// process. SIGKILL ends every process of the container. A container that has ended takes no signals and gives no error.
func (b *Container) Signal(signal unix.Signal) error {
	if b.noInit {
		_ = b.keeper.send(Signal{int(signal)}) // fails when the keeper has ended, and all with it
		return nil
	}
	message := binary.NativeEndian.AppendUint32(nil, uint32(signal)) // struct command of init.h
	_, err := b.control.Write(message)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// socketPair is two connected sockets that no other child inherits.
func socketPair(kind int) (_, _ *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // ours: read through Go's poller, so that Close ends a Read
		return nil, nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), nil
}
