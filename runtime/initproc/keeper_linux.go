package initproc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/idmap"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// workshop is where the keeper mounts what the host and its volumes must not show: a directory that every host has and no
// volume comes from. Below the store, say, a volume of the caller's home would carry the container's own root into it.
const (
	workshop = container.Workshop
	rootDir  = workshop + "/root"
	devDir   = workshop + "/dev"
	etcDir   = workshop + "/etc"
	bindsDir = workshop + "/binds"
	stateDir = workshop + "/state"

	aroundDir  = workshop + "/around"
	secretsDir = workshop + "/secrets"
)

// keeper is the process between the supervisor and the container: root of its own user namespace, PID 1 of its own pid
// namespace, alone with its mounts. It holds nothing that outlives it.
type keeper struct {
	request   container.Request
	replies   *json.Encoder
	replying  sync.Mutex // where there is no init, signals are told of while the job runs
	requests  *json.Decoder
	groups    []uint32   // supplementary ones of the job, where it has more ids than one
	annex     *os.File   // requests for further processes
	fence     *fence     // nil: the job cannot change its mounts
	launcher  *os.File   // that the job inherits; nil: none
	holder    *holder    // nil: the container has one job
	forwarded []*os.File // init's control socket and the job's streams or the console socket; they belong to init once it runs
}

// fault is an error with the class under which the supervisor reports it.
type fault struct {
	class container.Fault
	err   error
}

func (f fault) Error() string { return f.err.Error() }
func (f fault) Unwrap() error { return f.err }

// keep runs one container and is the keeper's whole life. The exit status matters to nobody: the supervisor goes by replies.
func keep() int {
	trace.Mark(trace.Keeper, "booted")
	debug.SetGCPercent(-1) // short-lived and small; a collection would only cost
	socket := os.NewFile(container.KeeperSocket, "supervisor")
	k := keeper{replies: json.NewEncoder(socket), requests: json.NewDecoder(socket)}
	err := idmap.DieWithParent()
	if err == nil && os.Getpid() != 1 {
		err = errors.New("the keeper has no namespaces of its own") // and would rearrange the mounts of the host
	}
	if err == nil {
		err = k.furnish()
	}
	trace.Mark(trace.Keeper, "furnished")
	if err == nil {
		rehearse()
		err = k.listen(socket)
	}
	trace.Mark(trace.Keeper, "asked")
	if errors.Is(err, io.EOF) {
		return 0 // nothing is to run after all
	}
	if err == nil {
		err = k.run()
	}
	if err == nil {
		settle(socket)
		return 0
	}
	reply := container.Reply{Failed: err.Error(), Fault: container.FaultStart}
	if f := (fault{}); errors.As(err, &f) {
		reply.Fault = f.class
	}
	_ = errors.As(err, &reply.Beyond)
	_ = k.replies.Encode(reply) // a supervisor that is gone has nothing to be told
	return 1
}

// settle forces a directory's files to disk, if the supervisor wants that done: a record, once the run is over. It reports to nobody.
func settle(supervisor *os.File) {
	dirs, err := container.ReceiveFiles(supervisor)
	if err != nil {
		return // there is nothing to do, or nobody left to ask for it
	}
	for _, dir := range dirs {
		_ = fsx.Settle(dir) // what the disk refuses now it has accepted before; the reader of a record sees what became of it
	}
	trace.Mark(trace.Keeper, trace.Settled)
}

// listen takes what is to run.
func (k *keeper) listen(socket *os.File) (err error) {
	if k.forwarded, err = container.ReceiveFiles(socket); err != nil {
		return err
	}
	k.annex = k.forwarded[1]
	k.forwarded = slices.Delete(k.forwarded, 1, 2)
	if err := k.requests.Decode(&k.request); err != nil || !k.request.Launcher {
		return err
	}
	last := len(k.forwarded) - 1
	k.launcher, k.forwarded = k.forwarded[last], k.forwarded[:last]
	return nil
}

func (k *keeper) run() error {
	if err := k.openFence(); err != nil {
		return err
	}
	net, err := k.openNetwork()
	if err != nil {
		return err
	}
	made, err := k.request.Root.Mount(rootDir)
	if err != nil {
		return err
	}
	trace.Mark(trace.Keeper, "root mounted")
	images, err := k.readyVolumes()
	if err != nil {
		return fault{container.FaultMount, err}
	}
	if err := k.openSecrets(); err != nil {
		return err
	}
	if err := checkTargets(k.request.Spec.Mounts); err != nil {
		return fault{container.FaultMount, err}
	}
	user, err := k.user()
	if err != nil {
		return fault{container.FaultUser, err}
	}
	if err := k.writeSecrets(user); err != nil {
		return err
	}
	process, err := k.first(user)
	if err != nil {
		return err
	}
	if err := k.replies.Encode(container.Reply{User: &user, Made: made, Images: images}); err != nil {
		return fmt.Errorf("answering the supervisor: %w", err)
	}
	trace.Mark(trace.Keeper, "user found")
	box, err := k.create(user, net)
	trace.Mark(trace.Keeper, "container created")
	if err != nil {
		return err
	}
	defer func() { _ = box.Destroy() }() // its state is on our own tmpfs, its processes end with us
	if err := k.requests.Decode(&container.Go{}); err != nil {
		return nil // the supervisor has thought better of it, or is gone
	}
	trace.Mark(trace.Keeper, "told to go")
	if err := net.await(); err != nil {
		return err
	}
	watchLibcontainer(process)
	if err := box.Run(process); err != nil {
		if failed := hookFault(err, k.request.Spec.Hooks); failed != nil {
			return failed
		}
		return classify(err)
	}
	trace.Mark(trace.Keeper, "container running")
	if k.holds() {
		spare()
		return k.hold(process, user, made, images)
	}
	k.closeForwarded()
	spare()
	if k.request.NoInit {
		k.deliver(process)
	}
	return k.wait(process, user)
}

// furnish makes this mount namespace the container's workshop. The host's mounts are made slaves, so that nothing done here
// shows there; /proc has to show this pid namespace, for libcontainer acts by it.
func (k *keeper) furnish() error {
	if err := sys.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fault{container.FaultNamespace, err}
	}
	if err := sys.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fault{container.FaultProc, err}
	}
	if err := hideCgroups(); err != nil {
		return err
	}
	// Not large: the job may write to what of it becomes its own.
	if err := sys.Mount("tmpfs", workshop, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700,size=16m"); err != nil {
		return err
	}
	if err := os.Mkdir(rootDir, 0o755); err != nil {
		return fmt.Errorf("making the root's mount point: %w", err)
	}
	return makeDev(devDir)
}

// wait reports the end of PID 1 together with what the kernel accounted to it and everything it reaped. Until then it serves
// requests for further processes.
func (k *keeper) wait(process *libcontainer.Process, user rootfs.User) error {
	pid, err := process.Pid()
	if err != nil {
		return err
	}
	annex := k.openAnnex(pid, user)
	sys.AwaitEnd(pid)
	annex.close()
	state, err := process.Wait()
	trace.Mark(trace.Keeper, "init reaped")
	idmap.Outlive() // what is left to do is little, and the supervisor is not to wait for it
	if state == nil {
		return fmt.Errorf("waiting for the container's init: %w", err)
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail for a clock that every kernel has
	k.closeNetwork()
	reply := container.Reply{Ended: true, Status: int(status), Nanoseconds: uint64(now.Nano())}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		reply.Usage = container.NewUsage(usage)
	}
	k.replying.Lock()
	defer k.replying.Unlock()
	if err := k.replies.Encode(reply); err != nil {
		return fmt.Errorf("answering the supervisor: %w", err)
	}
	return nil
}

// classify recognises what of a failed start is a mount, which the user can do something about. libcontainer says so in words
// only; they are shortened by those that say nothing here.
func classify(err error) error {
	text := err.Error()
	for _, empty := range []string{"unable to start container process: ", "error during container init: "} {
		text = strings.TrimPrefix(text, empty)
	}
	if strings.Contains(text, "error mounting") {
		return fault{container.FaultMount, errors.New(text)}
	}
	return errors.New(text)
}
