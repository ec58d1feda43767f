package sched

import "strings"

// Group is what of a batch job a control group holds, by its path: "Slurm step 42.0", "Slurm job 42", "PBS job 7.server"; "" where it is
// no scheduler's. Slurm makes /slurm/uid_1000/job_42/step_0/task_0, and below systemd /system.slice/slurmstepd.scope/job_42/step_0/user/task_0
// (cgroup_v1 and cgroup_v2 of its plugins); what is below a step belongs to that.
func Group(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if job, ok := strings.CutPrefix(part, "job_"); ok && isNumber(job) && strings.Contains(strings.Join(parts[:i], "/"), "slurm") {
			if i+1 < len(parts) && strings.HasPrefix(parts[i+1], "step_") {
				return "Slurm step " + job + "." + strings.TrimPrefix(parts[i+1], "step_")
			}
			return "Slurm job " + job
		}
		if part == "jobid" && i > 0 && strings.HasPrefix(parts[i-1], "pbs_jobs") && i+1 < len(parts) {
			return "PBS job " + parts[i+1]
		}
	}
	return ""
}
