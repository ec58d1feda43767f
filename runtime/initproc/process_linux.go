package initproc

import (
	"encoding/json"
	"errors"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/container"
)

// process is a child of the keeper in the container.
type process struct {
	pid int

	mu   sync.Mutex
	over bool // it has been reaped: the number may be somebody else's
}

func newProcess(pid int) *process { return &process{pid: pid} }

// wait waits for the end of the process.
func (p *process) wait() container.ExecReply {
	awaitEnd(p.pid)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	var status syscall.WaitStatus
	var usage syscall.Rusage
	for {
		_, err := syscall.Wait4(p.pid, &status, 0, &usage)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return container.ExecReply{Ended: true, Status: int(status), Usage: container.NewUsage(&usage)}
}

// awaitEnd waits for the end of a child, and leaves it to be reaped.
func awaitEnd(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// listen delivers what comes for the process; when nobody is there any more to ask for it, it is killed.
func (p *process) listen(signals *json.Decoder) {
	for {
		var s container.ExecSignal
		if err := signals.Decode(&s); err != nil {
			p.signal(unix.SIGKILL)
			return
		}
		p.signal(unix.Signal(s.Signal))
	}
}

// signal does as init does with the job: what a terminal's key would send goes to the whole process group.
func (p *process) signal(signal unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	pid := p.pid
	switch signal {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGCONT:
		pid = -pid
	}
	_ = unix.Kill(pid, signal) // it may have ended meanwhile; a number that is no signal is nobody's
}
