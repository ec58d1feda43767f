package sched

import (
	"slices"
	"testing"
)

// TestStep: tasks of one start have one name, of two starts two, also when a job is put back into the queue and has its number again.
func TestStep(t *testing.T) {
	slurm := []string{"SLURM_JOB_ID=42", "SLURM_STEP_ID=3", "SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=4", "SLURM_LOCALID=1", "SLURMD_NODENAME=n1"}
	with := func(more ...string) []string { return slices.Concat(more, slurm) }
	names := map[string][]string{}
	for name, environ := range map[string][]string{
		"a step":                slurm,
		"another rank of it":    with("SLURM_PROCID=2", "SLURM_LOCALID=2"),
		"another step":          with("SLURM_STEP_ID=4"),
		"another node":          with("SLURMD_NODENAME=n2"),
		"after a requeue":       with("SLURM_RESTART_COUNT=1"),
		"mpirun in a job":       with("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_LOCAL_RANK=0", "PMIX_NAMESPACE=77"),
		"another mpirun in it":  with("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_LOCAL_RANK=0", "PMIX_NAMESPACE=78"),
		"MPICH, which is mute":  with("PMI_RANK=0", "PMI_SIZE=2", "MPI_LOCALRANKID=0"),
		"the batch script's":    {"SLURM_JOB_ID=42", "SLURM_PROCID=0", "SLURM_LOCALID=0"},
		"nobody's":              {"HOME=/root"},
		"Open MPI without PMIx": {"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_LOCAL_RANK=0"},
	} {
		step := Step(environ)
		names[step] = append(names[step], name)
	}
	for step, same := range names {
		slices.Sort(same)
		want := map[string][]string{
			"":                {"MPICH, which is mute", "Open MPI without PMIx", "nobody's", "the batch script's"},
			"Slurm 42 3 n1 ":  {"a step", "another rank of it"},
			"Slurm 42 4 n1 ":  {"another step"},
			"Slurm 42 3 n2 ":  {"another node"},
			"Slurm 42 3 n1 1": {"after a requeue"},
			"Open MPI 77 42":  {"mpirun in a job"},
			"Open MPI 78 42":  {"another mpirun in it"},
		}[step]
		if !slices.Equal(same, want) {
			t.Errorf("%q: %q, want %q", step, same, want)
		}
	}
	if len(names) != 7 {
		t.Errorf("%q", names)
	}
}
