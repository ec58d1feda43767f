// Package sched knows batch schedulers from the environment that they give a job's launcher. It only reads what it is handed.
package sched

import (
	"slices"
	"strings"
)

// inherited are the variables of the launcher's environment that a job needs in order to know its rank, its peers and its
// devices, by name or, with a final "*", by prefix. Everything else of the host stays out: a stray LD_LIBRARY_PATH,
// PYTHONPATH or locale of the host breaks programs inside.
var inherited = []string{
	"SLURM_*", "SLURMD_*", "PMI_*", "PMI2_*", "PMIX_*", "OMPI_*", "UCX_*", "NCCL_*", "GLOO_*", "FI_*", "OMP_*", "MPICH_*",
	"PBS_JOBID", "PBS_NODEFILE", "LSB_JOBID", "FLUX_JOB_ID", "FLUX_TASK_RANK",
	"CUDA_VISIBLE_DEVICES", "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE",
}

// identifiers are the variables that say which batch job, step and rank a run was part of.
var identifiers = []string{
	"SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_STEP_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID",
	"SLURM_JOB_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURMD_NODENAME", "SLURM_RESTART_COUNT",
	"PBS_JOBID", "PBS_JOBNAME", "PBS_ARRAY_INDEX", "LSB_JOBID", "LSB_JOBNAME", "LSB_JOBINDEX", "FLUX_JOB_ID",
}

// Inherited picks from an environment of NAME=VALUE strings those that a job needs, in their order.
func Inherited(environ []string) []string {
	var picked []string
	for _, v := range environ {
		if name, _, _ := strings.Cut(v, "="); slices.ContainsFunc(inherited, func(p string) bool { return matches(p, name) }) {
			picked = append(picked, v)
		}
	}
	return picked
}

// Identity is what of an environment says which batch job this is; nil outside of one.
func Identity(environ []string) map[string]string {
	var found map[string]string
	for _, v := range environ {
		if name, value, _ := strings.Cut(v, "="); slices.Contains(identifiers, name) {
			if found == nil {
				found = map[string]string{}
			}
			found[name] = value
		}
	}
	return found
}

func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}
