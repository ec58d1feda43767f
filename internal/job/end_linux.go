package job

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
)

// settle sees to it that the finished record reaches the disk. The container's keeper, which has nothing else to do any more, does that
// while the caller goes on: a busy disk may take seconds.
func (a *attempt) settle(box *container.Container) (err error) {
	dir, err := os.Open(a.writer.Dir())
	if err != nil {
		return nil // who has taken the record away does not want it on a disk
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if box.Settle(dir) {
		return nil
	}
	return a.writer.Settle()
}

// removeGroup removes the job's control group, when everything in it has ended: the keeper, too.
func (a *attempt) removeGroup(box *container.Container) error {
	if box != nil && len(a.held.Group.Leftovers()) > 0 {
		box.Gone()
	}
	return a.held.Group.Remove()
}

// removePatience is how long a run waits for the removal of what its job wrote, once nothing else is left to do.
const removePatience = 20 * time.Millisecond

// remove removes the run's writable layer, of which clearing tells when it is empty. A large one is left to another process:
// whoever waits for the job's end has no part in it.
func (a *attempt) remove(upper *store.Upper, clearing <-chan error) error {
	if clearing == nil {
		return errors.Join(a.volumes.release(), upper.Remove())
	}
	if a.Sweep == nil {
		return errors.Join(<-clearing, upper.Remove())
	}
	select {
	case err := <-clearing:
		return errors.Join(err, upper.Remove())
	case <-time.After(removePatience):
	}
	path, err := upper.Leave()
	if err != nil {
		return err
	}
	return a.Sweep(path)
}

// told are the causes that a run says at its end, for the status alone does not.
var told = []record.Cause{record.OOM, record.GPUOOM, record.ShmFull, record.Timeout}

// finish records how the job ended. What went wrong in supervising it does not change the job's own status.
func (a *attempt) finish(result record.Result, known cause.Evidence, trouble error) (int, error) {
	if trouble != nil {
		a.Notice("while supervising the job: " + trouble.Error())
	}
	exit := known.Exit
	v := known.Judge()
	code := exit.Code
	if v.Cause == record.Timeout {
		code = cause.StatusTimeout
	}
	code = a.options.Watch.code(v.Cause, code)
	result.Finished, result.Wall, result.ExitCode = result.Started.Add(exit.Wall), exit.Wall.Seconds(), &code
	result.Cause, result.Message, result.Advice, result.Evidence = v.Cause, v.Message, v.Advice, known.Record()
	if exit.Signal != 0 {
		result.Signal = signals.Name(exit.Signal)
	}
	a.sum(&result, attemptOf(&ending{exit: exit, result: result}, v))
	if slices.Contains(told, v.Cause) {
		a.Notice(v.Message + " " + v.Advice)
	}
	return code, errors.Join(a.writer.Finish(result), a.forgetAgain())
}
