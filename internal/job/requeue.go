package job

import (
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
)

// requeueMost is how many records are looked at for the one of the same task.
const requeueMost = 10_000

// before is the run of this task from before its batch job was put back into the queue; "": the job was not, or there is no record.
func (r *Runner) before(run record.Run) string {
	here := sched.PlaceOf(run.Scheduler)
	if here.Restarts == 0 {
		return ""
	}
	seen := 0
	for v, err := range r.Runs.All() {
		if seen++; err != nil || seen > requeueMost {
			return ""
		}
		there := sched.PlaceOf(v.Scheduler)
		sameTask := there.Scheduler == here.Scheduler && there.Job == here.Job && there.Step == here.Step && rank(v.Run) == rank(run)
		if sameTask && there.Restarts < here.Restarts {
			return v.ID
		}
	}
	return ""
}

func rank(run record.Run) int {
	if run.Task == nil {
		return 0
	}
	return run.Task.Rank
}
