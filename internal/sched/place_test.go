package sched

import "testing"

func TestPlace(t *testing.T) {
	slurm := map[string]string{
		"SLURM_JOB_ID": "45", "SLURM_JOB_NAME": "sweep", "SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "3", "SLURM_STEP_ID": "0",
		"SLURMD_NODENAME": "n1", "SLURM_RESTART_COUNT": "2",
	}
	if got, want := PlaceOf(slurm), (Place{"Slurm", "45", "sweep", "42", "3", "0", "n1", 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := PlaceOf(nil); got != (Place{}) || got.Fits("") {
		t.Errorf("nowhere: %+v", got)
	}
	pbs := PlaceOf(map[string]string{"PBS_JOBID": "7.server"})
	for _, c := range []struct {
		place Place
		job   string
		want  bool
	}{
		{PlaceOf(slurm), "45", true}, {PlaceOf(slurm), "42", true}, {PlaceOf(slurm), "42_3", true}, {PlaceOf(slurm), "42_3.0", true}, {PlaceOf(slurm), "45.0", true},
		{PlaceOf(slurm), "4", false}, {PlaceOf(slurm), "45.1", false}, {PlaceOf(slurm), "42_4", false}, {PlaceOf(slurm), "", false},
		{pbs, "7", true}, {pbs, "7.server", true}, {pbs, "7.", false}, {Place{}, "7", false},
	} {
		if got := c.place.Fits(c.job); got != c.want {
			t.Errorf("%+v is in job %q: %v", c.place, c.job, got)
		}
	}
}
