package sched

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	slurmStep = "SLURM_JOB_ID=42 SLURM_STEP_ID=3 SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=7 SLURM_LOCALID=1 SLURM_NODEID=1 " +
		"SLURM_STEP_TASKS_PER_NODE=4,3 SLURM_STEP_NODELIST=n[07-08] SLURM_JOB_NODELIST=n[01-20]"
	hydra = "PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=0 MPI_LOCALNRANKS=1"
)

func TestTasked(t *testing.T) {
	for environ, want := range map[string]Task{
		"":                               {},
		"RANK=1 WORLD_SIZE=2":            {}, // of whoever runs torchrun, and no launcher's
		"SLURM_JOB_ID=42 SLURM_PROCID=0": {}, // a batch script
		slurmStep:                        {"Slurm", 5, 7, 1, 3, 1},
		slurmStep + " " + hydra:          {"MPICH", 1, 2, 0, 1, 0},
		slurmStep + " PMI_RANK=5":        {"Slurm", 5, 7, 1, 3, 1}, // srun --mpi=pmi2
		"SLURM_PROCID=7 SLURM_STEP_NUM_TASKS=7 SLURM_LOCALID=0":                                                   {},
		"SLURM_PROCID=x SLURM_STEP_NUM_TASKS=7 SLURM_LOCALID=0":                                                   {},
		"OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=2": {"Open MPI", 2, 4, 0, 2, 0},
		"FLUX_JOB_ID=f1 FLUX_TASK_RANK=1 FLUX_JOB_SIZE=2 FLUX_TASK_LOCAL_ID=1":                                    {"Flux", 1, 2, 1, 0, 0},
		"PALS_RANKID=1 PALS_SIZE=2 PALS_LOCAL_RANKID=0 PALS_LOCAL_SIZE=1 PALS_NODEID=1":                           {"PALS", 1, 2, 0, 1, 1},
	} {
		if got := Tasked(strings.Fields(environ)); got != want {
			t.Errorf("%s: %+v, want %+v", environ, got, want)
		}
	}
}

func TestTasksOfNode(t *testing.T) {
	for _, c := range []struct {
		text       string
		node, want int
	}{
		{"4", 0, 4}, {"4", 1, 0}, {"4(x2),3", 0, 4}, {"4(x2),3", 1, 4}, {"4(x2),3", 2, 3}, {"4(x2),3", 3, 0}, {"", 0, 0}, {"a", 0, 0}, {"2(x", 0, 0},
	} {
		if got := tasksOfNode([]string{"SLURM_STEP_TASKS_PER_NODE=" + c.text}, c.node); got != c.want {
			t.Errorf("%q, node %d: %d tasks, want %d", c.text, c.node, got, c.want)
		}
	}
}

func TestRendezvous(t *testing.T) {
	for _, c := range []struct{ environ, want string }{
		{"", ""},
		{"SLURM_JOB_ID=42 SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1 SLURM_LOCALID=0 SLURM_NODEID=0", ""},
		{slurmStep, "RANK=5 WORLD_SIZE=7 LOCAL_RANK=1 LOCAL_WORLD_SIZE=3 MASTER_ADDR=n07 MASTER_PORT=" + portOf("42", 3)},
		{slurmStep + " SLURM_STEP_RESV_PORTS=12003-12009", "RANK=5 WORLD_SIZE=7 LOCAL_RANK=1 LOCAL_WORLD_SIZE=3 MASTER_ADDR=n07 MASTER_PORT=12003"},
		{slurmStep + " MASTER_ADDR=me MASTER_PORT= RANK=9", "WORLD_SIZE=7 LOCAL_RANK=1 LOCAL_WORLD_SIZE=3"},
		{
			"SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=1 SLURM_NODEID=0 SLURM_STEP_TASKS_PER_NODE=2 SLURM_STEP_NODELIST=n1",
			"RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=" + portOf("7", 0),
		},
		{hydra, "RANK=1 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1"}, // where they meet nobody says
	} {
		if got, want := Rendezvous(strings.Fields(c.environ)), strings.Fields(c.want); !slices.Equal(got, want) {
			t.Errorf("%s:\n%q, want\n%q", c.environ, got, want)
		}
	}
}

func portOf(job string, step int) string {
	return strconv.Itoa(meetingPort([]string{"SLURM_JOB_ID=" + job, "SLURM_STEP_ID=" + strconv.Itoa(step)}))
}

// TestMeetingPort holds that the steps of a job have ports of their own, all of them in the range.
func TestMeetingPort(t *testing.T) {
	seen := map[string]bool{}
	for step := range portCount {
		port := portOf("398123", step)
		if n, err := strconv.Atoi(port); err != nil || n < firstPort || n >= 32768 || seen[port] {
			t.Fatalf("step %d: port %s", step, port)
		}
		seen[port] = true
	}
}
