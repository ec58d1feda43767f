package initproc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/exeseal"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/socket"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/idmap"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// holder keeps a container for the ranks that share it (sharewire.go). Its PID 1 is hold.c.
type holder struct {
	keeper  *keeper
	welcome container.Welcome
	init    int      // pid of the container's PID 1, here
	control *os.File // to it

	listener *os.File
	outside  os.FileInfo // the user namespace that the supervisors are in
	files    []*os.File  // of the welcome

	serving sync.WaitGroup
	mu      sync.Mutex
	lines   int // that have neither ended nor been left
	closed  bool
	over    chan struct{}               // closed with the last line
	clearer map[int32][]chan<- struct{} // told when nothing is left of a rank, by its init's pid
}

// holds reports whether the container is for others to join.
func (k *keeper) holds() bool { return k.request.Hold != nil }

// holdProcess is PID 1 of a container without a job.
func (k *keeper) holdProcess(user rootfs.User) (_ *libcontainer.Process, err error) {
	control, peer, err := pair()
	if err != nil {
		return nil, err
	}
	c := k.config(user, nil)
	c.Hold, c.Args, c.Capabilities, c.CPUs, c.Rlimits = true, []string{"hold"}, 0, nil, nil
	config, err := c.Encode()
	if err != nil {
		return nil, err
	}
	memfd, err := sys.Memfd("init-config", config)
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	k.holder = &holder{keeper: k, control: control, over: make(chan struct{}), clearer: map[int32][]chan<- struct{}{}}
	noNewPrivileges := k.request.Spec.Process.NoNewPrivileges
	return &libcontainer.Process{
		Args: []string{"/proc/self/exe", container.InitArg}, Env: []string{"HOME=/"}, Cwd: k.request.Spec.Process.Cwd, Init: true,
		NoNewPrivileges: &noNewPrivileges, Stdin: null, Stdout: null, Stderr: null, ExtraFiles: []*os.File{peer, memfd},
	}, nil
}

func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// hold keeps the container until the last line has ended.
func (k *keeper) hold(process *libcontainer.Process, user rootfs.User, made rootfs.Made, images []rootfs.Made) error {
	h := k.holder
	for _, theirs := range process.ExtraFiles {
		_ = theirs.Close() // else the end of PID 1 would not be noticed
	}
	report, err := readReport(h.control)
	if err != nil || report.Kind != container.ReportStarted {
		return fmt.Errorf("the process that holds the container ended without a word: stage %d: %w", report.Value, errors.Join(err, syscall.Errno(report.Error)))
	}
	if h.init, err = process.Pid(); err != nil {
		return err
	}
	base := k.config(user, nil)
	base.Filter, base.CPUs, base.Rlimits = nil, nil, nil // are each rank's own
	h.welcome = container.Welcome{ID: k.request.ID, Terms: k.request.Hold.Terms, User: user, Made: made, Images: images, Config: base}
	if err := h.furnish(user); err != nil {
		return err
	}
	debug.SetGCPercent(100) // this may go on for long
	if err := h.open(k.annex, k.forwarded[1]); err != nil {
		return err
	}
	h.lines = 1
	go h.listen()
	h.serving.Add(1)
	go h.serve(k.forwarded[0])
	go h.accept()
	idmap.Outlive()                                   // from now on the lines say how long this is to be
	_ = k.replies.Encode(container.Reply{Held: true}) // a supervisor that is gone has ended its line, too
	<-h.over
	_ = unix.Kill(h.init, unix.SIGKILL) // it has not been reaped
	_, err = process.Wait()
	trace.Mark(trace.Keeper, "shared container ended")
	h.serving.Wait()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return nil
	}
	return err
}

// manyLines is how many ranks may wait to be taken in: as many as the kernel lets.
const manyLines = 4096

// open listens for ranks, as what their supervisors make sure to speak to, and keeps in mind where they come from.
func (h *holder) open(listener, outside *os.File) (err error) {
	if h.outside, err = outside.Stat(); err != nil {
		return err
	}
	h.listener = listener
	return errors.Join(outside.Close(), os.NewSyscallError("listen", unix.Listen(int(listener.Fd()), manyLines)))
}

// furnish opens what the ranks get.
func (h *holder) furnish(user rootfs.User) error {
	add := func(name string, file *os.File, err error) error {
		if err == nil {
			h.files, h.welcome.Files = append(h.files, file), append(h.welcome.Files, name)
		}
		return err
	}
	open := func(name, path string, flags int) error {
		file, err := os.OpenFile(path, flags, 0)
		return add(name, file, err)
	}
	own, err := os.Open("/proc/self/ns/user")
	if err := add("user", own, err); err != nil {
		return err
	}
	namespaces, err := h.namespaces()
	if err != nil {
		return err
	}
	for _, n := range namespaces {
		if err := open(n, fmt.Sprintf("/proc/%d/ns/%s", h.init, n), os.O_RDONLY); err != nil {
			return err
		}
	}
	program, err := exeseal.CloneSelfExe(stateDir)
	if err := add(container.FileProgram, program, err); err != nil {
		return fmt.Errorf("sealing the program: %w", err)
	}
	if err := errors.Join(open(container.FileProc, "/proc", unix.O_PATH), open(container.FileShm, devDir+"/shm", unix.O_PATH)); err != nil {
		return err
	}
	if !h.keeper.nested(user) {
		return nil
	}
	jobs, err := newUser(user)
	if err := add(container.FileJobUser, jobs, err); err != nil {
		return fmt.Errorf("making the jobs' user namespace: %w", err)
	}
	h.welcome.Config.Nested, h.welcome.Config.Join = false, true
	return nil
}

// namespaces are those of the container that whoever comes from outside is not in, the mount namespace last.
func (h *holder) namespaces() (names []string, err error) {
	for _, name := range []string{"ipc", "uts", "cgroup", "net", "pid", "mnt"} {
		file, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", h.init, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // the kernel was built without
		}
		if err != nil {
			return nil, fmt.Errorf("opening the container's %s namespace: %w", name, err)
		}
		outside, err := sameNamespace(file, "/proc/self/ns/"+name)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
		if !outside || name == "ipc" { // which the container has from the keeper
			names = append(names, name)
		}
	}
	return names, nil
}

// newUser makes a user namespace in which the caller has a number that the image expects.
func newUser(user rootfs.User) (file *os.File, err error) {
	pid, err := hold(unix.CLONE_NEWUSER)
	if err != nil {
		return nil, err
	}
	child := sys.NewChild(pid)
	defer func() {
		_ = child.Kill(unix.SIGKILL, false) // it waits for nothing else
		child.Wait()
	}()
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	if file, err = os.Open(dir + "ns/user"); err != nil {
		return nil, err
	}
	return file, errors.Join(writeMap(dir+"uid_map", fmt.Sprintf("%d 0 1\n", user.UID)), writeMap(dir+"gid_map", fmt.Sprintf("%d 0 1\n", user.GID)))
}

// acceptPause is how long nobody is listened to after somebody could not be taken in.
const acceptPause = 10 * time.Millisecond

// accept takes further lines, from the user whose container it is.
func (h *holder) accept() {
	raw, err := h.listener.SyscallConn()
	if err != nil {
		return
	}
	for {
		var fd int
		var failed error
		err := raw.Read(func(listener uintptr) bool {
			fd, _, failed = unix.Accept4(int(listener), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return !errors.Is(failed, unix.EAGAIN)
		})
		if err != nil {
			return // closed
		}
		if failed != nil { // whoever it was has gone; or there are no descriptors, until a rank has ended
			time.Sleep(acceptPause)
			continue
		}
		line := os.NewFile(uintptr(fd), "line")
		go h.admit(line)
	}
}

// introduction is how long whoever has opened a line may take to show where it is.
const introduction = 5 * time.Second

// admit takes in a supervisor of the same user, that shows that it is outside of the container as the first one was. A job is not.
func (h *holder) admit(line *os.File) {
	peer, err := socket.Peer(line)
	if err != nil || peer.Uid != 0 || line.SetReadDeadline(time.Now().Add(introduction)) != nil || !h.fromOutside(line) ||
		line.SetReadDeadline(time.Time{}) != nil || !h.enter() {
		_ = line.Close() // is owed nothing
		return
	}
	h.serve(line)
}

// fromOutside takes a user namespace off a line, and tells whether it is that of the supervisors.
func (h *holder) fromOutside(line *os.File) bool {
	files, err := container.ReceiveFiles(line)
	if err != nil {
		return false
	}
	defer closeAll(files)
	shown, err := files[0].Stat()
	return err == nil && os.SameFile(shown, h.outside)
}

// serve speaks with one rank.
func (h *holder) serve(line *os.File) {
	defer h.serving.Done()
	defer line.Close()
	init, left := 0, false
	replies, messages := json.NewEncoder(line), json.NewDecoder(line)
	err := container.SendFiles(line, h.files)
	if err == nil {
		err = replies.Encode(h.welcome)
	}
	for err == nil {
		var m container.LineMessage
		if err = messages.Decode(&m); err != nil {
			break
		}
		if m.Init > 0 {
			init = m.Init
		}
		if m.Leave && !left {
			h.clear(init)
			left = true
			err = replies.Encode(container.Left{Last: h.leave()})
		}
	}
	if !left {
		h.clear(init)
		h.leave()
	}
}

// clear waits until nothing is left of a rank, whose init is gone or about to be.
func (h *holder) clear(init int) {
	if init <= 0 {
		return // it has begun nothing
	}
	done := make(chan struct{})
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.clearer[int32(init)] = append(h.clearer[int32(init)], done)
	h.mu.Unlock()
	if _, err := h.control.Write(binary.NativeEndian.AppendUint32(nil, uint32(init))); err != nil {
		h.finish() // PID 1 is gone, and everything with it
	}
	<-done
}

// listen hears of PID 1 what has been cleared.
func (h *holder) listen() {
	for {
		report, err := readReport(h.control)
		if err != nil {
			h.finish()
			return
		}
		if report.Kind != container.ReportCleared {
			continue
		}
		h.mu.Lock()
		for _, c := range h.clearer[report.Value] {
			close(c)
		}
		delete(h.clearer, report.Value)
		h.mu.Unlock()
	}
}

// enter counts one more line; false: it is too late for that.
func (h *holder) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.lines++
	h.serving.Add(1)
	return true
}

// leave counts one line less, and tells whether it was the last.
func (h *holder) leave() (last bool) {
	h.mu.Lock()
	h.lines--
	last = h.lines == 0
	h.mu.Unlock()
	if last {
		h.finish()
	}
	return last
}

// finish lets nobody in any more.
func (h *holder) finish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	_ = h.listener.Close()
	for _, waiting := range h.clearer {
		for _, c := range waiting {
			close(c)
		}
	}
	h.clearer = nil
	close(h.over)
}
