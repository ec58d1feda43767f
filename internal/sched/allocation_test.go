package sched

import (
	"testing"
	"time"
)

func TestBatch(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{nil, ""},
		{[]string{"HOME=/", "SLURM_CLUSTER_NAME=c"}, ""},
		{[]string{"SLURM_JOB_ID="}, ""},
		{[]string{"A=1", "SLURM_JOB_ID=4"}, "Slurm"},
		{[]string{"PBS_JOBID=4.host"}, "PBS"},
		{[]string{"LSB_JOBID=4"}, "LSF"},
	} {
		if got := Batch(c.environ); got != c.want {
			t.Errorf("%q: %q, want %q", c.environ, got, c.want)
		}
	}
}

func TestAllocated(t *testing.T) {
	const id = "SLURM_JOB_ID=4"
	for _, c := range []struct {
		environ []string
		want    Allocation
	}{
		{nil, Allocation{}},
		{[]string{"SLURM_CPUS_PER_TASK=4"}, Allocation{}}, // of no job
		{[]string{id}, Allocation{}},
		{[]string{id, "SLURM_CPUS_PER_TASK=4", "SLURM_CPUS_ON_NODE=16"}, Allocation{CPUs: 4}},
		{[]string{id, "SLURM_CPUS_ON_NODE=16"}, Allocation{CPUs: 16}},
		{[]string{id, "SLURM_CPUS_ON_NODE=16", "SLURM_TASKS_PER_NODE=4(x2)"}, Allocation{CPUs: 4}},
		{[]string{id, "SLURM_CPUS_ON_NODE=16", "SLURM_TASKS_PER_NODE=4(x2),1"}, Allocation{CPUs: 16}},
		{[]string{id, "SLURM_CPUS_ON_NODE=2", "SLURM_STEP_TASKS_PER_NODE=4", "SLURM_TASKS_PER_NODE=1"}, Allocation{CPUs: 1}},
		{[]string{id, "SLURM_MEM_PER_NODE=2048"}, Allocation{MemoryBytes: 2 << 30}},
		{[]string{id, "SLURM_MEM_PER_NODE=0"}, Allocation{}},
		{[]string{id, "SLURM_MEM_PER_CPU=512", "SLURM_CPUS_ON_NODE=4"}, Allocation{CPUs: 4, MemoryBytes: 2 << 30}},
		{[]string{id, "SLURM_CPUS_PER_TASK=-1", "SLURM_MEM_PER_NODE=99999999999999999999"}, Allocation{}},
		{[]string{"PBS_JOBID=1", "NCPUS=8"}, Allocation{CPUs: 8}},
	} {
		if got := Allocated(c.environ); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.environ, got, c.want)
		}
	}
}

func TestUntil(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "x": "", "0": "", "-5": "", "4294967295000": "", "1767323045": "2026-01-02T03:04:05Z",
	} {
		got := ""
		if end := Until([]string{"SLURM_JOB_END_TIME=" + text}); end != nil {
			got = end.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
