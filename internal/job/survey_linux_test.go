package job

import "testing"

// One of the processes of a job looks at its mounts: the others have the same.
func TestFirstRank(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    bool
	}{
		{nil, true},
		{[]string{"SLURM_PROCID=0", "SLURM_JOB_ID=7"}, true},
		{[]string{"SLURM_PROCID=3"}, false},
		{[]string{"OMPI_COMM_WORLD_RANK=1"}, false},
	} {
		a := &attempt{Runner: &Runner{Environ: c.environ}}
		if got := a.firstRank(); got != c.want {
			t.Errorf("%q: %v", c.environ, got)
		}
	}
}
