package record

// Task says which of the processes that a launcher (srun, mpirun) has started together a run was.
type Task struct {
	Launcher  string `json:"launcher"` // Slurm, Open MPI, ...
	Rank      int    `json:"rank"`     // among all
	Size      int    `json:"size"`
	LocalRank int    `json:"local_rank"` // among those of its node
	LocalSize int    `json:"local_size,omitempty"`
	Node      int    `json:"node"` // its node's number among those of the job; 0 also where the launcher does not say
}

// Share says with which other runs a run shared its container: those of the same step on the same host.
type Share struct {
	Scope string `json:"scope"` // node
	Step  string `json:"step"`  // the launcher's start
}
