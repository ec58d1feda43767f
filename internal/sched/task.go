package sched

import "strings"

// Task is one of the processes that a launcher has started together. The zero value is a process on its own.
type Task struct {
	Launcher  string // Slurm, Open MPI, ...; "": none, or none that says so
	Rank      int    // among all
	Size      int    // how many there are; 0: not known, as good as 1
	LocalRank int    // among those of this node
	LocalSize int    // 0: not known
	Node      int    // this one's number among the job's nodes
}

// Alone reports whether there are no others.
func (t Task) Alone() bool { return t.Size <= 1 }

// launchers say in variables of their own which of the tasks a process is. The innermost counts: mpirun in a Slurm job starts one
// daemon on each node by srun, so that Slurm's variables are the daemon's. node is "" where a launcher does not say.
var launchers = []struct{ name, rank, size, localRank, localSize, node string }{
	{"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", ""},
	{"MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", ""}, // Hydra, Intel's too
	{"MVAPICH", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE", ""},
	{"LSF", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_LOCAL_SIZE", ""}, // jsrun
	{"Flux", "FLUX_TASK_RANK", "FLUX_JOB_SIZE", "FLUX_TASK_LOCAL_ID", "", ""},
	{"PALS", "PALS_RANKID", "PALS_SIZE", "PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE", "PALS_NODEID"}, // PBS on Cray
	{"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "", "SLURM_NODEID"},
}

// Tasked reads which task of a launcher a process is from its environment.
func Tasked(environ []string) Task {
	for _, l := range launchers {
		if !has(environ, l.rank) || !has(environ, l.size) || !has(environ, l.localRank) {
			continue
		}
		t := Task{
			Launcher: l.name, Rank: number(environ, l.rank), Size: number(environ, l.size),
			LocalRank: number(environ, l.localRank), LocalSize: number(environ, l.localSize), Node: number(environ, l.node),
		}
		if l.name == "Slurm" {
			t.LocalSize = tasksOfNode(environ, t.Node)
		}
		if t.Rank < t.Size && (t.LocalSize == 0 || t.LocalRank < t.LocalSize) {
			return t
		}
	}
	return Task{}
}

// tasksOfNode reads how many tasks of the step a node has from "4(x2),3": four on each of the first two, three on the next. 0: it
// is not said.
func tasksOfNode(environ []string, node int) int {
	text, _ := lookUp(environ, "SLURM_STEP_TASKS_PER_NODE")
	for part := range strings.SplitSeq(text, ",") {
		count, times, repeated := strings.Cut(strings.TrimSuffix(part, ")"), "(x")
		tasks, nodes := digits(count), 1
		if repeated {
			nodes = digits(times)
		}
		if tasks == 0 || nodes == 0 {
			return 0
		}
		if node < nodes {
			return tasks
		}
		node -= nodes
	}
	return 0
}

// has reports whether a variable is there and is a number; of no name none is.
func has(environ []string, name string) bool {
	value, ok := lookUp(environ, name)
	return ok && isNumber(value)
}
