package sched

import (
	"cmp"
	"strings"
)

// Place is where in the work of a scheduler a run belongs, read from what Identity has kept. The zero value is nowhere.
type Place struct {
	Scheduler string // Slurm, ...
	Job       string // as the scheduler numbers it
	Name      string // of the job
	Array     string // the job array's number; "": it is in none
	Index     string // of the job in its array
	Step      string
	Node      string
	Restarts  int // how often the job was put back into the queue before
}

// PlaceOf reads what Identity has kept of an environment.
func PlaceOf(identity map[string]string) Place {
	environ := make([]string, 0, len(identity))
	for name, value := range identity {
		environ = append(environ, name+"="+value)
	}
	return Place{
		Scheduler: Batch(environ), Job: jobID(environ), Name: cmp.Or(identity["SLURM_JOB_NAME"], identity["PBS_JOBNAME"], identity["LSB_JOBNAME"]),
		Array: identity["SLURM_ARRAY_JOB_ID"], Index: cmp.Or(identity["SLURM_ARRAY_TASK_ID"], identity["PBS_ARRAY_INDEX"], identity["LSB_JOBINDEX"]),
		Step: identity["SLURM_STEP_ID"], Node: identity["SLURMD_NODENAME"], Restarts: number(environ, "SLURM_RESTART_COUNT"),
	}
}

// Fits reports whether a place is part of what a user calls a job: 42, its step 42.0, the job array 42 or 42_7 of it.
func (p Place) Fits(job string) bool {
	if job == "" || p.Job == "" {
		return false
	}
	names := []string{p.Job, p.Array}
	if p.Array != "" {
		names = append(names, p.Array+"_"+p.Index)
	}
	for _, name := range names {
		if name != "" && (job == name || job == name+"."+p.Step) {
			return true
		}
	}
	short, _, cut := strings.Cut(p.Job, ".") // PBS adds its server: 42.pbs01
	return cut && job == short
}
