package container

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/socket"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/undo"
)

// Shared is one rank's hold on a container that several share. Whoever has it has the container live; when the last has left it, or has
// died, the container ends with all that is in it.
type Shared struct {
	Welcome
	Keeper  int // its pid
	line    *os.File
	answers *json.Decoder
	files   []*os.File // named by Welcome.Files
	left    bool
	last    bool
}

// Hold makes a container without a job for others to join, and is the first to do so. Of the configuration, what is a job's own is not
// read. The keeper listens for further ones at the socket, which has its address and stays the caller's to close, and tells them the
// terms. It fails as Start does, and is called in its place.
func (p *Prepared) Hold(ctx context.Context, c Config, socket *os.File, terms map[string]string) (_ *Shared, err error) {
	<-p.ready
	if p.err != nil {
		return nil, p.err
	}
	line, peer, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	var cleanup undo.Stack
	cleanup.Add(p.keeper.kill)
	cleanup.Add(line.Close)
	defer func() {
		if err != nil {
			err = errors.Join(err, cleanup.Run())
		}
	}()
	err = unix.SetNonblock(int(peer.Fd()), true) // as for the others that the keeper will accept
	if err == nil {
		err = showUserNamespace(p.keeper.socket, peer, socket)
	}
	if err = errors.Join(err, peer.Close()); err != nil {
		return nil, p.keeper.silent(fmt.Errorf("%w: speaking to its keeper: %w", ErrStart, err))
	}
	if err := p.keeper.hold(ctx, c, terms, line); err != nil {
		return nil, err
	}
	s, err := welcome(line)
	if err != nil {
		return nil, p.keeper.silent(err)
	}
	s.Keeper = p.keeper.pid
	cleanup.Release()
	err = p.keeper.release()
	p.keeper = nil
	return s, err
}

// silent is the error for a keeper that could not be spoken to: of what it died, if that was why.
func (k *keeper) silent(err error) error {
	if !errors.Is(ended(err), ErrEnded) {
		return err
	}
	_, why := k.reply() // it may have said it
	return cmp.Or(why, err)
}

// hold has the keeper make the container and take back its death signal.
func (k *keeper) hold(ctx context.Context, c Config, terms map[string]string, line *os.File) error {
	unhurt := k.expire(startPatience, line)
	defer unhurt()
	stop := context.AfterFunc(ctx, func() { _ = k.kill() })
	defer stop()
	request := newRequest(c)
	request.Args, request.Env, request.Launcher, request.Hold = nil, nil, false, &Hold{Terms: terms}
	reply, err := k.ask(request)
	if err == nil && reply.User == nil {
		err = fmt.Errorf("%w: the keeper gave no answer", ErrStart)
	}
	if err == nil {
		err = k.tell(Go{})
	}
	if err == nil {
		reply, err = k.reply()
	}
	switch {
	case !stop():
		return fmt.Errorf("%w: %w", ErrStart, context.Cause(ctx))
	case err == nil && !reply.Held:
		return fmt.Errorf("%w: the keeper does not hold it", ErrStart)
	}
	return err
}

// Join opens a line, which is connected, to the keeper of a shared container, and hears what that is. ErrEnded says that it is ending,
// ErrForeign that it is not one at all. The line is the Shared's.
func Join(line *os.File) (*Shared, error) {
	keeper, err := keeperAt(line)
	if err == nil {
		err = ended(showUserNamespace(line))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("joining a shared container: %w", err), line.Close())
	}
	s, err := welcome(line)
	if err != nil {
		return nil, errors.Join(err, line.Close())
	}
	s.Keeper = keeper
	return s, nil
}

// keeperAt makes sure that the keeper of a container is at the other end of a line, and nobody else: the program that it sends will be
// executed here. A job that has the store among its volumes may listen in its place, but is in a pid namespace further down than the one
// whose first process a keeper is.
func keeperAt(line *os.File) (pid int, err error) {
	peer, err := socket.Peer(line)
	if err != nil {
		return 0, err
	}
	pids, err := proc.PeerPids(line)
	if errors.Is(err, proc.ErrPeerGone) {
		return 0, ErrEnded
	}
	if err != nil {
		return 0, err
	}
	if int(peer.Uid) != os.Geteuid() || len(pids) != 2 || pids[1] != 1 {
		return 0, ErrForeign
	}
	return pids[0], nil
}

// showUserNamespace sends files and the user namespace that this process is in. From inside a container nobody comes by that
// (NS_GET_PARENT, ioctl_nsfs(2)).
func showUserNamespace(socket *os.File, files ...*os.File) error {
	own, err := os.Open("/proc/self/ns/user")
	if err != nil {
		return err
	}
	return errors.Join(SendFiles(socket, append(files, own)), own.Close())
}

// ended is ErrEnded for what the end of a keeper leads to.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		return ErrEnded
	}
	return err
}

// welcome hears the keeper's first word. After an error the line is still the caller's.
func welcome(line *os.File) (_ *Shared, err error) {
	s := &Shared{line: line}
	if s.files, err = ReceiveFiles(line); err == nil {
		s.answers = json.NewDecoder(line)
		err = s.answers.Decode(&s.Welcome)
	}
	err = ended(err)
	if err == nil && len(s.files) != len(s.Files) {
		err = fmt.Errorf("%d descriptors of %d", len(s.files), len(s.Files))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("joining a shared container: %w", err), closeFiles(s.files))
	}
	return s, nil
}

func closeFiles(files []*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// file is one that the keeper has sent; nil: there is none of the name.
func (s *Shared) file(name string) *os.File {
	if i := slices.Index(s.Files, name); i >= 0 {
		return s.files[i]
	}
	return nil
}

// Start runs a job in the container, as Prepared.Start does in one of its own. Of the configuration, what is not a job's own is not read.
func (s *Shared) Start(ctx context.Context, c Config) (_ *Container, err error) {
	var cleanup undo.Stack
	defer func() {
		if err != nil {
			err = errors.Join(err, cleanup.Run())
		}
	}()
	b := &Container{
		User: s.User, Made: s.Made, Images: s.Images, shared: s,
		command: c.Spec.Process.Args[0], ended: make(chan struct{}), outside: make(chan Outside, 16),
	}
	control, peer, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	cleanup.Add(control.Close)
	b.control = control
	b.keeper, err = s.startRank(c, peer)
	if err := errors.Join(err, peer.Close()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	cleanup.Add(b.keeper.kill)
	if err := b.beginRank(ctx, c); err != nil {
		return nil, err
	}
	cleanup.Release()
	go b.listen()
	return b, nil
}

// startRank starts the rank's first process, which waits for a word.
func (s *Shared) startRank(c Config, control *os.File) (_ *keeper, err error) {
	config := s.Config
	config.Rank, config.Args, config.Env = true, c.Spec.Process.Args, s.environment(c)
	config.Passed, config.Filter, config.CPUs, config.Rlimits = c.Passed, c.Filter, c.CPUs, rlimits(c.Spec.Process.Rlimits)
	config.Launcher = c.Launcher != nil
	encoded, err := config.Encode()
	if err != nil {
		return nil, err
	}
	memfd, err := sys.Memfd("rank-config", encoded)
	if err != nil {
		return nil, err
	}
	defer memfd.Close()
	socket, peer, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	namespaces := s.namespaces()
	program := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.file(FileProgram).Fd()) // the child's descriptors have other numbers
	cmd := &exec.Cmd{Path: program, Args: []string{"coracle", RankArg, strconv.Itoa(len(namespaces)), c.Spec.Process.Cwd}, Env: []string{}}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.ExtraFiles = slices.Concat([]*os.File{control, memfd, peer, s.file(FileJobUser)}, namespaces, []*os.File{s.line})
	if c.Launcher != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, c.Launcher)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what a terminal's keys send is for the supervisor alone
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	k := &keeper{socket: socket, replies: json.NewDecoder(socket), pid: cmd.Process.Pid, end: cmd.Process.Kill, said: &head{}, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the init's end is what counts
		k.note(cmd.ProcessState)
		close(k.done)
	}()
	return k, nil
}

// namespaces are those to be joined.
func (s *Shared) namespaces() (files []*os.File) {
	for i, name := range s.Files {
		if !slices.Contains([]string{FileProgram, FileJobUser, FileProc, FileShm}, name) {
			files = append(files, s.files[i])
		}
	}
	return files
}

func (s *Shared) environment(c Config) []string {
	env := c.Spec.Process.Env
	if !c.SetHome {
		return env
	}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "HOME=") })
	return append(env, "HOME="+s.User.Home)
}

// beginRank lets the first process go on when it is where its limits are, and waits until the job runs.
func (b *Container) beginRank(ctx context.Context, c Config) (err error) {
	unhurt := b.keeper.expire(startPatience, b.control)
	defer unhurt()
	stop := context.AfterFunc(ctx, func() { _ = b.keeper.kill() })
	defer stop()
	if err := <-b.enter(c); err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	if !stop() {
		return fmt.Errorf("%w: %w", ErrStart, context.Cause(ctx))
	}
	if _, err := b.keeper.socket.Write([]byte{0}); err != nil && !errors.Is(err, unix.EPIPE) { // of one that has failed the report says why
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	report, err := b.began()
	if err != nil {
		return err
	}
	b.since, b.pid, b.init = report.Nanoseconds, int(report.Value), int(report.Error)
	b.Started = time.Now().Add(-b.elapsed())
	return nil
}

// Init is the pid, in the container, of the init whose children and theirs are the job's. What else is in the container is not, where that
// is not the first process.
func (b *Container) Init() int { return max(1, b.init) }

// Leave waits until nothing of the rank's runs any more, and reports whether nothing of any rank's does. Then the container's files are
// nobody's but the caller's: its keeper stays, as their owner, until Close.
func (s *Shared) Leave() (last bool, err error) {
	if s.left {
		return s.last, nil
	}
	s.left = true
	if err := json.NewEncoder(s.line).Encode(LineMessage{Leave: true}); err != nil {
		return false, fmt.Errorf("leaving the shared container: %w", err)
	}
	var answer Left
	if err := s.line.SetReadDeadline(time.Now().Add(keeperGrace)); err != nil {
		return false, err
	}
	if err := s.answers.Decode(&answer); err != nil {
		return false, fmt.Errorf("leaving the shared container: %w", err)
	}
	s.last = answer.Last
	return s.last, nil
}

// Close lets go of the container, which is no other's any more if it was the last.
func (s *Shared) Close() error {
	return errors.Join(s.line.Close(), closeFiles(s.files))
}
