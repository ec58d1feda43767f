package sched

import (
	"slices"
	"testing"
)

// What srun --mpi=pmix of Slurm 22.05 gives to a task, with PMIx 4.2.
var slurmPMIx = []string{
	"SLURM_MPI_TYPE=pmix", "PMIX_RANK=1", "PMIX_NAMESPACE=slurm.pmix.1.0", "PMIX_GDS_MODULE=ds21,ds12,hash", "PMIX_SYSTEM_TMPDIR=/tmp",
	"PMIX_SERVER_URI2=pmix-server.2583;tcp4://127.0.0.1:58381", "PMIX_SERVER_URI41=pmix-server.2583;tcp4://127.0.0.1:58381",
	"PMIX_DSTORE_21_BASE_PATH=/spool/pmix.1.0//pmix_dstor_ds21_2583", "PMIX_DSTORE_ESH_BASE_PATH=/spool/pmix.1.0//pmix_dstor_ds12_2583",
	"PMIX_SERVER_TMPDIR=/spool/pmix.1.0/", "PMIX_HOSTNAME=n1",
}

func TestWays(t *testing.T) {
	pmi2 := []string{"SLURM_MPI_TYPE=pmi2", "PMI_FD=13", "PMI_JOBID=1.0", "PMI_RANK=1", "PMI_SIZE=3"}
	for _, c := range []struct {
		environ []string
		want    []MPI
	}{
		{nil, nil},
		{slurmPMIx, []MPI{PMIx}},
		{pmi2, []MPI{PMI2}},
		{slices.Concat(pmi2, slurmPMIx), []MPI{PMI2, PMIx}}, // the first word counts
		{slices.Concat(slurmPMIx, pmi2), []MPI{PMIx, PMI2}},
		{slurmPMIx[1:4], nil}, // no server
		{[]string{"PMI_FD=x"}, nil},
		{[]string{"PMI_RANK=1", "PMI_SIZE=2"}, nil},
	} {
		if got := Ways(c.environ); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.environ, got, c.want)
		}
	}
}

func TestPMIxPlaces(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    []string
		network bool
	}{
		{slurmPMIx, []string{"/spool/pmix.1.0", "/spool/pmix.1.0/pmix_dstor_ds12_2583", "/spool/pmix.1.0/pmix_dstor_ds21_2583", "/tmp/pmix.sys.*"}, true},
		{[]string{"PMIX_SERVER_URI=pmix-server:42:/tmp/pmix-42", "PMIX_SERVER_URI2=file:/run/pmix.uri"}, []string{"/run/pmix.uri", "/tmp/pmix-42"}, false},
		{[]string{"PMIX_SERVER_TMPDIR=relative", "PMIX_SERVER_URI2=x;tcp6://[::1]:5"}, nil, true},
		{nil, nil, false},
	} {
		if got := PMIxPlaces(c.environ); !slices.Equal(got, c.want) || PMIxNeedsNetwork(c.environ) != c.network {
			t.Errorf("%q: %q, want %q; by the network: %v", c.environ, got, c.want, PMIxNeedsNetwork(c.environ))
		}
	}
}

func TestOfMPI(t *testing.T) {
	for v, want := range map[string]bool{"PMI_FD=3": true, "PMI2_X": true, "PMIX_RANK=": true, "PMIX_MCA_gds=hash": false, "SLURM_PMIX=1": false, "PATH=PMI_": false} {
		if OfMPI(v) != want {
			t.Errorf("%s: %v", v, !want)
		}
	}
}

func TestWithoutSharedMemory(t *testing.T) {
	task := func(local string) []string {
		return []string{"SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=4", "SLURM_LOCALID=0", "SLURM_NODEID=0", "SLURM_STEP_TASKS_PER_NODE=" + local}
	}
	for local, want := range map[string]bool{"2(x2)": true, "1(x4)": false, "1,3": false, "": true} {
		if got := WithoutSharedMemory(task(local)); (len(got) > 0) != want {
			t.Errorf("%s on each node: %q", local, got)
		}
	}
	if got := WithoutSharedMemory(nil); got != nil {
		t.Errorf("alone: %q", got)
	}
}
