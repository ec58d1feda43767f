package sched

import (
	"maps"
	"slices"
	"testing"
)

var environ = []string{
	"HOME=/home/me", "SLURM_JOB_ID=42", "SLURM_PROCID=3", "LD_LIBRARY_PATH=/opt/lib", "OMP_NUM_THREADS=4", "PMIX_RANK=1",
	"RANKING=1", "RANK=7", "LANG=de_DE", "=odd", "SLURM_EMPTY=", "NO_VALUE",
}

func TestInherited(t *testing.T) {
	got := Inherited(environ)
	want := []string{"SLURM_JOB_ID=42", "SLURM_PROCID=3", "OMP_NUM_THREADS=4", "PMIX_RANK=1", "RANK=7", "SLURM_EMPTY="}
	if !slices.Equal(got, want) {
		t.Errorf("inherited %q, want %q", got, want)
	}
}

func TestIdentity(t *testing.T) {
	if got, want := Identity(environ), map[string]string{"SLURM_JOB_ID": "42", "SLURM_PROCID": "3"}; !maps.Equal(got, want) {
		t.Errorf("identity %v, want %v", got, want)
	}
	if got := Identity([]string{"HOME=/"}); got != nil {
		t.Errorf("identity outside a batch job: %v", got)
	}
}
