package initproc

import (
	"encoding/json"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
)

// process is a child of the keeper in the container.
type process struct{ *sys.Child }

func newProcess(pid int) *process { return &process{sys.NewChild(pid)} }

// wait waits for the end of the process.
func (p *process) wait() container.ExecReply {
	status, usage := p.Wait()
	return container.ExecReply{Ended: true, Status: int(status), Usage: container.NewUsage(&usage)}
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
	group := slices.Contains([]unix.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGCONT}, signal)
	_ = p.Kill(signal, group) // it may have ended meanwhile; a number that is no signal is nobody's
}
