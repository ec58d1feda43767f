package job

import (
	"os"
	"sync/atomic"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/runtime/cgroup"
)

// away is set once nobody reads what a run says beside its job's output.
type away struct{ atomic.Bool }

// notices tells the caller, and the record once the caller has gone.
func (w *away) notices(caller func(string), writer *record.Writer) func(string) {
	return func(text string) {
		if !w.Load() {
			caller(text)
			return
		}
		_ = writer.Event("notice", map[string]any{"text": text}) // a full disk must not end a training
	}
}

// mayPart is for a caller who may go before the run ends.
func (a *attempt) mayPart() {
	a.Notice = a.away.notices(a.Notice, a.writer)
	if a.Begun != nil && !a.options.Detach {
		a.joint.keys, a.joint.leave = a.options.DetachKeys, a.leave
	}
}

// begun tells the caller of a detached run that its job runs. From here on it is on its own.
func (a *attempt) begun() {
	if !a.options.Detach || a.Begun == nil {
		return
	}
	if text := a.outlives(host.ReadLogin(host.Username())); text != "" {
		a.Notice(text)
	}
	a.leave()
}

// leave parts from the caller.
func (a *attempt) leave() {
	a.away.Store(true)
	if err := a.Begun(a.writer.ID()); err != nil {
		a.Notice(err.Error())
	}
}

// outlives says what will end a detached run before its job ends, if that is known.
func (a *attempt) outlives(login host.Login) string {
	if batch := sched.Batch(a.Environ); batch != "" {
		return "the run is part of a job of " + batch + ", which ends it when the job, or the step that has started it, is over"
	}
	if a.held.Group != nil && a.held.Group.Way == cgroup.Scope && os.Getuid() != 0 && !login.Keeps() {
		login.Manager = true // whose scope the job is in; root's is that of the host
	}
	switch {
	case !login.Ends():
		return ""
	case login.Session != "" && login.Kills:
		return "systemd will kill the run when you log out (KillUserProcesses=yes): " +
			"'loginctl enable-linger' and then 'systemd-run --user --scope coracle run -d ...' keep it"
	}
	return "systemd will kill the run when your last session ends, with your service manager: 'loginctl enable-linger' keeps it"
}
