package initproc

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/opencontainers/runc/libcontainer/exeseal"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// annex serves requests for further processes in the container, as long as its init lives.
type annex struct {
	keeper *keeper
	socket *os.File
	init   string   // /proc/PID of the container's init, which is not reaped before the annex is closed
	pid    int      // its pid
	env    []string // the job's
	user   rootfs.User

	mu     sync.Mutex
	closed bool
	wait   sync.WaitGroup
	job    *os.File // the job's nested user namespace, once it was needed
	sealed *os.File // this program, likewise
}

// openAnnex begins to serve.
func (k *keeper) openAnnex(init int, user rootfs.User) *annex {
	a := &annex{keeper: k, socket: k.annex, pid: init, init: "/proc/" + strconv.Itoa(init), env: k.laterEnvironment(user), user: user}
	go a.serve()
	return a
}

// close turns further requests away and waits until those that there were have been answered to the end. It is called when init is
// dead, and so is every process of its pid namespace.
func (a *annex) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.wait.Wait()
}

func (a *annex) serve() {
	for first := true; ; first = false {
		files, err := container.ReceiveFiles(a.socket)
		if err != nil {
			return // the supervisor is gone
		}
		if first {
			debug.SetGCPercent(100) // this may go on for as long as the job
		}
		a.mu.Lock()
		if a.closed {
			closeAll(files) // whoever asks sees that nobody will answer, though this process may stay for a while
		} else {
			a.wait.Go(func() { a.answer(files) })
		}
		a.mu.Unlock()
	}
}

// answer runs one further process from its request to its end.
func (a *annex) answer(files []*os.File) {
	defer closeAll(files[2:])
	defer files[1].Close()
	replies := json.NewEncoder(files[1])
	request, err := readRequest(files[0])
	if err == nil && request.Everybody != 0 {
		reply := container.ExecReply{}
		if err := a.everybody(unix.Signal(request.Everybody)); err != nil {
			reply.Failed = err.Error()
		}
		_ = replies.Encode(reply) // nobody may be there any more, here and below
		return
	}
	var process *process
	if err == nil {
		process, err = a.start(request, files)
	}
	if err != nil {
		reply := container.ExecReply{Failed: err.Error()}
		var f fault
		var failed *stageError
		switch {
		case errors.As(err, &f):
			reply.Fault = f.class
		case errors.As(err, &failed):
			reply = container.ExecReply{Stage: failed.stage, Errno: int32(failed.errno)}
		}
		_ = replies.Encode(reply)
		return
	}
	closeAll(files[2:]) // else nobody would see an end of file
	_ = replies.Encode(container.ExecReply{Started: true})
	go process.listen(json.NewDecoder(files[1]))
	_ = replies.Encode(process.wait())
}

// stageError is a failure in the process itself.
type stageError struct {
	stage int32
	errno syscall.Errno
}

func (e *stageError) Error() string { return fmt.Sprintf("stage %d: %v", e.stage, e.errno) }

// start brings the process to its own program.
func (a *annex) start(request container.ExecRequest, files []*os.File) (*process, error) {
	if streams := len(files) - 2; streams != 3 && (request.Terminal == nil || streams != 1) {
		return nil, fmt.Errorf("%d streams", streams)
	}
	config, joined, err := a.config(request)
	if err != nil {
		return nil, err
	}
	encoded, err := config.Encode()
	if err != nil {
		return nil, err
	}
	memfd, err := sys.Memfd("exec-config", encoded)
	if err != nil {
		return nil, err
	}
	defer memfd.Close()
	namespaces, err := a.namespaces(request.Job)
	defer closeAll(namespaces)
	if err != nil {
		return nil, err
	}
	size := container.Size{}
	extra := []*os.File{nil, memfd, nil, joined}
	program, err := a.program()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: program, Env: []string{}}
	if request.Terminal != nil {
		size, extra[2] = *request.Terminal, files[2]
	} else {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = files[2], files[3], files[4]
	}
	cmd.Args = []string{
		"coracle", container.ExecArg, strconv.Itoa(len(namespaces)), strconv.Itoa(int(size.Rows)), strconv.Itoa(int(size.Cols)),
		cmp.Or(request.Dir, a.keeper.request.Spec.Process.Cwd),
	}
	group, err := a.group()
	if err != nil {
		return nil, err
	}
	if group != nil {
		defer group.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	}
	return enter(cmd, append(extra, namespaces...), a.pid)
}

// group is the job's control group of version 2, where this process is in another one (cgroup.Group.Release): what enters the
// container is to be held to the job's limits. nil: there is none to be entered.
func (a *annex) group() (*os.File, error) {
	own, ownErr := unifiedGroup("/proc/self")
	theirs, err := unifiedGroup(a.init)
	if err := errors.Join(ownErr, err); err != nil || own == theirs {
		return nil, err
	}
	return os.Open(filepath.Join(cgroups, theirs))
}

// unifiedGroup is a process's path in cgroup v2; "" where there is none.
func unifiedGroup(process string) (string, error) {
	text, err := os.ReadFile(process + "/cgroup")
	if errors.Is(err, os.ErrNotExist) {
		return "", nil // the kernel was built without
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n"), err
		}
	}
	return "", err
}

// program is a copy of this program that cannot be written to, made when it is first needed. The path goes by the keeper's own pid,
// for the child's descriptors have other numbers when it executes the program.
func (a *annex) program() (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sealed == nil {
		sealed, err := exeseal.CloneSelfExe(stateDir)
		if err != nil {
			return "", fmt.Errorf("sealing the program: %w", err)
		}
		a.sealed = sealed
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), a.sealed.Fd()), nil
}

// readRequest takes the request out of its memfd, whose offset is that of the one who wrote it.
func readRequest(file *os.File) (r container.ExecRequest, err error) {
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return r, err
	}
	text := make([]byte, info.Size())
	if _, err := file.ReadAt(text, 0); err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// config says what the process becomes: what the job is, or another user with the job's rights. The file is the job's user
// namespace, where it has one of its own that the process is to join.
func (a *annex) config(r container.ExecRequest) (c container.InitConfig, joined *os.File, err error) {
	user, groups, env := a.user, a.keeper.groups, a.env
	if r.User != "" {
		if user, groups, err = a.otherUser(r.User); err != nil {
			return c, nil, fault{container.FaultUser, err}
		}
		if a.keeper.request.SetHome {
			env = merge(env, []string{"HOME=" + user.Home})
		}
	}
	c = a.keeper.config(user, groups)
	c.TTY, c.Args, c.Env = r.Terminal != nil, r.Args, merge(env, r.Env)
	switch {
	case c.Nested && user.UID == a.user.UID && user.GID == a.user.GID:
		c.Nested, c.Join = false, true
		joined, err = a.jobNamespace(r.Job)
	case a.keeper.fence != nil:
		c.Join, joined = true, a.keeper.fence.user
	}
	return c, joined, err
}

func (a *annex) otherUser(name string) (user rootfs.User, groups []uint32, err error) {
	if a.keeper.mapped() {
		if groups, err = rootfs.CheckUser(rootDir, name, a.keeper.request.IDs); err != nil {
			return user, nil, err
		}
	}
	user, err = rootfs.LookUpUser(rootDir, name)
	return user, groups, err
}

// merge puts variables over others of the same names.
func merge(env, over []string) []string {
	var merged []string
	seen := map[string]bool{}
	for _, v := range slices.Backward(slices.Concat(env, over)) {
		if name, _, _ := strings.Cut(v, "="); !seen[name] {
			seen[name] = true
			merged = append(merged, v)
		}
	}
	slices.Reverse(merged)
	return merged
}

// enter executes what enters the container, and waits until it has become the program or says why it cannot.
func enter(cmd *exec.Cmd, extra []*os.File, init int) (*process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	control, peer := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer control.Close()
	extra[0] = peer
	cmd.ExtraFiles = extra
	err = errors.Join(cmd.Start(), peer.Close())
	if err != nil {
		return nil, err
	}
	var p *process
	var failed error
	for {
		report, err := readReport(control)
		if err != nil {
			break // all who had the other end have closed it
		}
		switch report.Kind {
		case container.ReportForked:
			// The new process has the other end, too, until it executes its program, and the job may be able to trace it.
			if pid := int(report.Value); p == nil && pid > 1 && pid != init {
				p = newProcess(pid)
			}
		case container.ReportFailed:
			failed = &stageError{report.Value, syscall.Errno(report.Error)}
		}
	}
	waitErr := cmd.Wait()
	if p == nil {
		return nil, cmp.Or(failed, waitErr, errors.New("it ended without a word"))
	}
	if failed != nil {
		p.wait()
		return nil, failed
	}
	return p, nil
}

func readReport(control *os.File) (r container.Report, err error) {
	message := make([]byte, container.ReportSize)
	if n, err := control.Read(message); err != nil || n != len(message) {
		return r, errors.Join(err, unix.EPIPE)
	}
	_, err = binary.Decode(message, binary.NativeEndian, &r)
	return r, err
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close() // held for passing on only; the second time it does nothing
	}
}
