package sched

import "testing"

func TestGroup(t *testing.T) {
	for path, want := range map[string]string{
		"/system.slice/slurmstepd.scope/job_1/step_0/user/task_0":  "Slurm step 1.0",
		"/system.slice/n1_slurmstepd.scope/job_17/step_batch/user": "Slurm step 17.batch",
		"/system.slice/slurmstepd.scope/job_17":                    "Slurm job 17",
		"/memory/slurm/uid_1000/job_42/step_extern/task_0":         "Slurm step 42.extern",
		"/memory/slurm_n1/uid_1000/job_42":                         "Slurm job 42",
		"/memory/pbs_jobs.service/jobid/7.server":                  "PBS job 7.server",
		"/system.slice/slurmstepd.scope":                           "",
		"/user.slice/user-1000.slice/job_1":                        "",
		"/slurm/job_x/step_0":                                      "",
		"/docker/0123456789abcdef":                                 "",
		"":                                                         "",
	} {
		if got := Group(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
