package gpu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// process is a running helper.
type process struct {
	cmd    *exec.Cmd
	to     *os.File   // its standard input
	from   *os.File   // its standard output
	said   *sys.Words // its standard error
	ended  chan struct{}
	status error // of its end, once ended is closed
}

// start runs a program with nothing of this process's: its environment, working directory, process group and descriptors are its
// own. It dies with this process.
func start(path string) (*process, error) {
	if err := sys.KeepDescriptors(); err != nil {
		return nil, err
	}
	stdin, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close(), to.Close())
	}
	p := &process{to: to, from: from, said: &sys.Words{}, ended: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Path: path, Args: []string{HelperName},
		Env:    []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"},
		Dir:    "/",
		Stdin:  stdin,
		Stdout: stdout,
		Stderr: p.said,

		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL},
		WaitDelay:   time.Second, // for what it leaves behind with our pipe open
	}
	err = p.launch()
	err = errors.Join(err, stdin.Close(), stdout.Close())
	if err != nil {
		return nil, errors.Join(err, to.Close(), from.Close())
	}
	return p, nil
}

// launch starts the program from a thread that waits for its end: the kernel's signal at the parent's death is one at the death of
// the thread that was the parent (prctl(2), PR_SET_PDEATHSIG), and Go ends threads.
func (p *process) launch() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.status = p.cmd.Wait()
		close(p.ended)
	}()
	return <-started
}

// kill ends the helper and what it has started.
func (p *process) kill() {
	select {
	case <-p.ended: // the number may be somebody else's
	default:
		_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // it may have ended meanwhile
	}
}

// killPatience is how long a killed process may take to end, on a machine that has much else to do: one that hangs in the driver does
// not.
const killPatience = 5 * time.Second

// stop closes the helper's input, and kills it if that does not end it in time. A process that does not even end then is left to
// the kernel.
func (p *process) stop(patience time.Duration) error {
	err := p.to.Close()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.kill()
		select {
		case <-p.ended:
		case <-time.After(killPatience):
			err = errors.Join(err, fmt.Errorf("%w: process %d hangs in the kernel and cannot be killed", ErrHung, p.cmd.Process.Pid))
		}
	}
	return errors.Join(err, p.from.Close())
}

// last is how the helper ended and what it has said, for the error about that: all of it is there when it has been waited for.
func (p *process) last() string {
	how := ""
	select {
	case <-p.ended:
		if p.status != nil && !errors.Is(p.status, exec.ErrWaitDelay) {
			how = p.status.Error() + ": "
		}
	case <-time.After(killPatience):
	}
	return strings.TrimSuffix(how+p.words(), ": ")
}

// words are what the helper has said, in one line, up to the first that is empty: the stacks that a crash prints follow after one.
func (p *process) words() string {
	first, _, _ := strings.Cut(strings.TrimSpace(p.said.String()), "\n\n")
	return strings.Join(strings.Fields(first), " ")
}
