package sched

import "strings"

// Step names the start by a launcher that a task belongs to, so that the tasks of one start on a node find each other, and those of no
// other. "": the launcher does not say, or there is none.
func Step(environ []string) string {
	launcher := Tasked(environ).Launcher
	for _, s := range steps {
		if s.launcher != launcher {
			continue
		}
		if name, ok := s.name(environ); ok {
			return name
		}
	}
	return ""
}

// SteppingLaunchers are those whose tasks know of which start they are, as Tasked names them.
func SteppingLaunchers() (names []string) {
	for _, s := range steps {
		names = append(names, s.launcher)
	}
	return names
}

// steps are the variables that together are given to no other start on this node while this one is there. A job that was put back into
// the queue has its number again, and may find on a node what of it is still ending. The last may be missing.
var steps = []step{
	{"Slurm", []string{"SLURM_JOB_ID", "SLURM_STEP_ID"}, []string{"SLURMD_NODENAME", "SLURM_RESTART_COUNT"}},
	{"Open MPI", []string{"PMIX_NAMESPACE"}, []string{"SLURM_JOB_ID"}},
	{"Flux", []string{"FLUX_JOB_ID"}, nil},
	{"PALS", []string{"PALS_APID"}, nil},
}

type step struct {
	launcher        string
	needed, further []string
}

func (s step) name(environ []string) (string, bool) {
	parts := []string{s.launcher}
	for _, variable := range s.needed {
		value, _ := lookUp(environ, variable)
		if value == "" {
			return "", false
		}
		parts = append(parts, value)
	}
	for _, variable := range s.further {
		value, _ := lookUp(environ, variable)
		parts = append(parts, value)
	}
	return strings.Join(parts, " "), true
}
