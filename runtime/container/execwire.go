package container

// What supervisor and keeper say to each other about a further process in a running container. Over a socket that the keeper
// got with the container's streams, the supervisor sends for each one a message of descriptors (SendFiles): a memfd with an
// ExecRequest, a socket for this process alone, and its three streams or the socket that its terminal is sent to. Over the
// process's socket come ExecReplies, and go ExecSignals; its end ends the process.

// ExecArg is argv[1] of what becomes a further process.
const ExecArg = "coracle-exec"

// ExecRequest is one further process.
type ExecRequest struct {
	Args     Strings `json:"args"`
	Env      Strings `json:"env"`  // over the job's
	Dir      string  `json:"dir"`  // "": where the job began
	User     string  `json:"user"` // "": the job's
	Job      int     `json:"job"`  // the job's pid in the container
	Terminal *Size   `json:"terminal,omitempty"`

	Everybody int `json:"everybody,omitempty"` // not a process, but this signal for all of them; then there are no streams
}

// ExecReply is one message about a further process: failed, or started and later ended.
type ExecReply struct {
	Started bool   `json:"started,omitempty"`
	Ended   bool   `json:"ended,omitempty"`
	Status  int    `json:"status,omitempty"` // ended: as of wait(2)
	Usage   Usage  `json:"usage,omitzero"`   // ended: of it and its children
	Failed  string `json:"failed,omitempty"` // failed: the error's text and its class, or else
	Fault   Fault  `json:"fault,omitempty"`  //
	Stage   int32  `json:"stage,omitempty"`  // the stage, and errno
	Errno   int32  `json:"errno,omitempty"`  //
}

// ExecSignal is a signal for a further process.
type ExecSignal struct {
	Signal int `json:"signal"`
}
