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
	"syscall"

	// Without it every start without a cgroup fails with "cannot set devices limit".
	_ "github.com/opencontainers/cgroups/devices"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/idmap"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
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
	requests  *json.Decoder
	groups    []uint32   // supplementary ones of the job, where it has more ids than one
	annex     *os.File   // requests for further processes
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
	return k.requests.Decode(&k.request)
}

func (k *keeper) run() error {
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
	process, err := k.process(user)
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
		return classify(err)
	}
	trace.Mark(trace.Keeper, "container running")
	k.closeForwarded()
	if k.request.NoInit {
		go k.deliver(process)
	}
	return k.wait(process, user)
}

// deliver hands signals to the job in init's place, as init would (see deliver in init.c). It ends with the keeper.
func (k *keeper) deliver(process *libcontainer.Process) {
	pid, err := process.Pid()
	if err != nil {
		return // it has ended
	}
	for {
		var s container.Signal
		if err := k.requests.Decode(&s); err != nil {
			return // the supervisor is gone, and the kernel is about to end this process
		}
		target := pid
		switch signal := unix.Signal(s.Number); signal {
		case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGCONT:
			target = -pid
		}
		_ = unix.Kill(target, unix.Signal(s.Number)) // a job that has ended needs none
	}
}

// user finds who the job is. With a map, that must be somebody who is in it.
func (k *keeper) user() (rootfs.User, error) {
	ids := k.request.IDs
	if ids.IsZero() {
		return rootfs.FindUser(rootDir, k.request.User, k.request.Account)
	}
	groups, err := rootfs.CheckUser(rootDir, k.request.User, ids)
	if err != nil {
		return rootfs.User{}, err
	}
	k.groups = groups
	return rootfs.FindUser(rootDir, k.request.User, k.request.Account)
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

// create prepares the container. Who the job is does not concern libcontainer: it runs our init as uid 0 of this user
// namespace, and init gives the job its own.
func (k *keeper) create(user rootfs.User, net *link) (*libcontainer.Container, error) {
	s := ownParts(k.request.Spec.Spec)
	s.Root.Path = rootDir
	s.Linux.Seccomp = nil // loaded by init, after the nested user namespace that it would forbid
	s.Process.User = specs.User{}
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.IPCNamespace }) // ours
	if err := errors.Join(completeDev(devDir, s), addMetrics(devDir, k.request.Metrics), k.mountFiles(s), net.specify(s)); err != nil {
		return nil, err
	}
	if err := hideWorkshop(s); err != nil {
		return nil, fault{container.FaultMount, err}
	}
	if err := restrainBinds(s); err != nil {
		return nil, fault{container.FaultMount, err}
	}
	return k.box(s, user)
}

// box is the container of a complete specification.
func (k *keeper) box(s *specs.Spec, user rootfs.User) (*libcontainer.Container, error) {
	needed := k.capabilities(user)
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: needed, Effective: needed, Permitted: needed}
	if err := os.Chdir(workshop); err != nil { // libcontainer takes the working directory for the bundle
		return nil, fmt.Errorf("entering the workshop: %w", err)
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName:      k.request.ID,
		NoNewKeyring:    true,
		Spec:            s,
		RootlessCgroups: true,
	})
	if err != nil {
		return nil, fmt.Errorf("configuring the container: %w", err)
	}
	box, err := libcontainer.Create(stateDir, k.request.ID, config)
	if err != nil {
		return nil, fmt.Errorf("creating the container: %w", err)
	}
	return box, nil
}

// ownParts is a specification whose parts can be changed without changing the request, by which later processes go.
func ownParts(s *specs.Spec) *specs.Spec {
	own, process, root, linux := *s, *s.Process, *s.Root, *s.Linux
	own.Process, own.Root, own.Linux = &process, &root, &linux
	return &own
}

// capabilities are what init needs: those that it leaves to the job, and some until the job has begun.
func (k *keeper) capabilities(user rootfs.User) []string {
	needed := k.held()
	if k.mapped() {
		// To become the job's user, to give it its streams, and to end processes of others.
		needed = append(needed, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_KILL")
	}
	if k.nested(user) {
		needed = []string{"CAP_SETFCAP"} // to map uid 0; whatever the job holds comes with its own user namespace
	} else if !k.request.Spec.Process.NoNewPrivileges {
		needed = append(needed, "CAP_SYS_ADMIN") // to load a filter
	}
	if len(needed) > 0 {
		needed = append(needed, "CAP_SETPCAP") // to give them up for good
	}
	return needed
}

// held are the capabilities of the job.
func (k *keeper) held() []string {
	if c := k.request.Spec.Process.Capabilities; c != nil {
		return slices.Clone(c.Bounding)
	}
	return nil
}

// left are the capabilities that init leaves to the job. What root has among several users is for root alone.
func (k *keeper) left(user rootfs.User) []string {
	held := k.held()
	if !k.mapped() || user.UID == 0 {
		return held
	}
	return slices.DeleteFunc(held, func(name string) bool { return slices.Contains(spec.RootOfMany, name) })
}

// mapped: the namespace has the ids of the image's users.
func (k *keeper) mapped() bool { return !k.request.IDs.IsZero() }

// nested: the job needs a namespace of its own for its ids.
func (k *keeper) nested(user rootfs.User) bool {
	return !k.mapped() && (user.UID != 0 || user.GID != 0)
}

// config is what every process of the container has in common.
func (k *keeper) config(user rootfs.User, groups []uint32) container.InitConfig {
	return container.InitConfig{
		Nested: k.nested(user), Switch: k.mapped(), UID: user.UID, GID: user.GID, Groups: groups,
		Capabilities: spec.CapabilityMask(k.left(user)), NewPrivileges: !k.request.Spec.Process.NoNewPrivileges,
		Filter: k.request.Filter, CPUs: k.request.CPUs, Rlimits: k.request.Rlimits,
	}
}

// environment is the job's.
func (k *keeper) environment(user rootfs.User) []string {
	if !k.request.SetHome {
		return k.request.Env
	}
	env := slices.DeleteFunc(slices.Clone(k.request.Env), func(v string) bool { return strings.HasPrefix(v, "HOME=") })
	return append(env, "HOME="+user.Home)
}

// process is PID 1: this very binary, which libcontainer has sealed against being written by the container.
func (k *keeper) process(user rootfs.User) (*libcontainer.Process, error) {
	c := k.config(user, k.groups)
	c.TTY, c.NoInit, c.Args, c.Env = k.request.Terminal != nil, k.request.NoInit, k.request.Args, k.environment(user)
	config, err := c.Encode()
	if err != nil {
		return nil, err
	}
	memfd, err := sys.Memfd("init-config", config)
	if err != nil {
		return nil, err
	}
	noNewPrivileges := k.request.Spec.Process.NoNewPrivileges
	process := &libcontainer.Process{
		Args:            []string{"/proc/self/exe", container.InitArg},
		Env:             []string{"HOME=/"}, // else libcontainer reads the image's passwd file, be it a link to what never ends
		Cwd:             k.request.Spec.Process.Cwd,
		Init:            true,
		NoNewPrivileges: &noNewPrivileges,
		ExtraFiles:      []*os.File{k.forwarded[0], memfd},
	}
	if size := k.request.Terminal; size != nil {
		process.ConsoleSocket = k.forwarded[1]
		process.ConsoleHeight, process.ConsoleWidth = size.Rows, size.Cols
		return process, nil
	}
	process.Stdin, process.Stdout, process.Stderr = k.forwarded[1], k.forwarded[2], k.forwarded[3]
	return process, nil
}

// closeForwarded gives up what now belongs to init alone: as long as the keeper holds a copy, nobody sees an end of file.
func (k *keeper) closeForwarded() {
	for _, file := range k.forwarded {
		_ = file.Close() // held for passing on only
	}
}

// wait reports the end of PID 1 together with what the kernel accounted to it and everything it reaped. Until then it serves
// requests for further processes.
func (k *keeper) wait(process *libcontainer.Process, user rootfs.User) error {
	pid, err := process.Pid()
	if err != nil {
		return err
	}
	annex := k.openAnnex(pid, user)
	awaitEnd(pid)
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
