package sched

import (
	"strconv"
	"strings"
	"time"
)

// schedulers are known by a variable that they set in their jobs.
var schedulers = []struct{ variable, name string }{
	{"SLURM_JOB_ID", "Slurm"}, {"PBS_JOBID", "PBS"}, {"LSB_JOBID", "LSF"}, {"FLUX_JOB_ID", "Flux"},
	{"_CONDOR_JOB_AD", "HTCondor"}, {"SGE_TASK_ID", "Grid Engine"}, {"OAR_JOB_ID", "OAR"}, {"COBALT_JOBID", "Cobalt"},
}

// Batch is the scheduler whose job an environment belongs to, by name, or "".
func Batch(environ []string) string {
	for _, s := range schedulers {
		if value, ok := lookUp(environ, s.variable); ok && value != "" {
			return s.name
		}
	}
	return ""
}

// Allocation is what a scheduler has given to one task of a job. 0: it does not say.
type Allocation struct {
	CPUs        int
	MemoryBytes int64
}

// Allocated reads what Slurm (srun(1), output environment variables) or PBS has given.
func Allocated(environ []string) (a Allocation) {
	if _, ok := lookUp(environ, "SLURM_JOB_ID"); !ok {
		if _, ok := lookUp(environ, "PBS_JOBID"); ok {
			a.CPUs = number(environ, "NCPUS")
		}
		return a
	}
	onNode := number(environ, "SLURM_CPUS_ON_NODE")
	a.CPUs = number(environ, "SLURM_CPUS_PER_TASK")
	if a.CPUs == 0 && onNode > 0 {
		a.CPUs = max(1, onNode/max(1, tasksHere(environ)))
	}
	megabytes := number(environ, "SLURM_MEM_PER_NODE") // 0: all of it
	if megabytes == 0 {
		megabytes = number(environ, "SLURM_MEM_PER_CPU") * onNode
	}
	a.MemoryBytes = int64(megabytes) << 20
	return a
}

// Until is when the scheduler ends the batch job, and all that is in it; nil: it does not say. Slurm does.
func Until(environ []string) *time.Time {
	text, _ := lookUp(environ, "SLURM_JOB_END_TIME")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds <= 0 || seconds >= never {
		return nil
	}
	end := time.Unix(seconds, 0).UTC()
	return &end
}

// never bounds times of which it makes sense to speak: the year 3000. Slurm has greater ones where a partition has no limit.
const never = 32503680000

// tasksHere is how many tasks share this node's CPUs, where all nodes have as many: "4" or "4(x2)"; else 1.
func tasksHere(environ []string) int {
	for _, name := range []string{"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"} {
		if text, ok := lookUp(environ, name); ok {
			first, _, _ := strings.Cut(text, "(")
			tasks, err := strconv.Atoi(first)
			if err == nil && !strings.Contains(text, ",") {
				return tasks
			}
			return 1
		}
	}
	return 1
}

// number is the value of a variable; 0 where it is no number, or negative, or absurd.
func number(environ []string, name string) int {
	text, _ := lookUp(environ, name)
	return digits(text)
}

func digits(text string) int {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 31)
	return err == nil
}

func lookUp(environ []string, name string) (value string, ok bool) {
	for _, v := range environ {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
