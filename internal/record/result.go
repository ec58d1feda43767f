package record

import "time"

// Cause says in one word why a run ended, for scripts and schedulers.
type Cause string

// The causes. A job that ran ends with one of the first eight.
const (
	Exited        Cause = "exited"         // by itself, with any status
	Signalled     Cause = "signalled"      // by a signal that Coracle did not pass on
	Stopped       Cause = "stopped"        // by a signal to Coracle, passed on to the job
	Preempted     Cause = "preempted"      // it was asked to save its work, by --checkpoint-signal, because its time in a batch job was over
	OOM           Cause = "oom"            // the kernel had no memory for it
	GPUOOM        Cause = "gpu-oom"        // a GPU had no memory for it: what it printed says so
	ShmFull       Cause = "shm-full"       // its /dev/shm was full
	Timeout       Cause = "timeout"        // it reached the limit of its time, --timeout: 124
	NotFound      Cause = "not-found"      // the command is not in the image: 127
	NotExecutable Cause = "not-executable" // the command cannot be run: 126
	StartFailure  Cause = "start-failure"  // Coracle could not start the job: 125
	ImageFailure  Cause = "image-failure"  // the image could not be had or used: 125
	Lost          Cause = "lost"           // the supervisor ended without a result: killed, or the host went down
)

// Result is result.json: how a run ended. Numbers come from the kernel; Sources names where each is from.
type Result struct {
	Schema   int       `json:"schema"`
	ID       string    `json:"id"`
	Started  time.Time `json:"started,omitzero"` // UTC; zero when the job never started
	Finished time.Time `json:"finished"`         // UTC; for a lost run, its last sign of life
	Wall     float64   `json:"wall_seconds"`     // of the job, by the monotonic clock

	ExitCode *int   `json:"exit_code"`        // what coracle run returned; null when lost
	Signal   string `json:"signal,omitempty"` // SIGKILL, when the job died of one
	Cause    Cause  `json:"cause"`
	Message  string `json:"message"`          // one plain sentence
	Advice   string `json:"advice,omitempty"` // what to do next, if anything

	Attempts []Attempt `json:"attempts,omitempty"` // with --restart: each start of the job, the first and the last of many
	Restarts int       `json:"restarts,omitempty"` // how often it was started again

	Evidence   *Evidence   `json:"evidence,omitempty"`   // what the cause goes by, beyond the status
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"` // when the job was asked to save its work

	Totals  Totals            `json:"totals"`
	Peaks   Peaks             `json:"peaks"`
	Sources map[string]string `json:"sources,omitempty"` // "peaks.memory_bytes": "cgroup"
	Log     LogStat           `json:"log"`               // filled in by Finish

	GPUUse   map[string]GPUUse `json:"gpu_use,omitempty"`   // by the index of the device
	GPUError string            `json:"gpu_error,omitempty"` // why the GPUs were not measured, or not to the end

	Metrics        map[string]Metric `json:"metrics,omitempty"`         // of the training, by the job's own names
	MetricsDropped map[string]int64  `json:"metrics_dropped,omitempty"` // by reason
}

// Totals are sums over the run and all its processes.
type Totals struct {
	CPUSeconds    float64 `json:"cpu_seconds"`
	UserSeconds   float64 `json:"user_seconds"`
	SystemSeconds float64 `json:"system_seconds"`

	ThrottledSeconds *float64 `json:"throttled_seconds,omitempty"` // had work and was kept from it by its CPU limit; nil here and below: not known
	ReadBytes        *int64   `json:"read_bytes,omitempty"`        // from and to block devices
	WriteBytes       *int64   `json:"write_bytes,omitempty"`
	FileReadBytes    *int64   `json:"file_read_bytes,omitempty"` // by system calls, whatever the file system
	FileWriteBytes   *int64   `json:"file_write_bytes,omitempty"`
	ReceivedBytes    *int64   `json:"received_bytes,omitempty"` // over a network of its own
	SentBytes        *int64   `json:"sent_bytes,omitempty"`
	CPUPressure      *float64 `json:"pressure_cpu_seconds,omitempty"` // in which some process waited for it
	MemoryPressure   *float64 `json:"pressure_memory_seconds,omitempty"`
	IOPressure       *float64 `json:"pressure_io_seconds,omitempty"`
	GPUEnergyJoules  *float64 `json:"gpu_energy_joules,omitempty"` // of all its GPUs, by whomever
}

// Peaks are the greatest values seen during the run.
type Peaks struct {
	MemoryBytes    int64    `json:"memory_bytes"`
	AnonShmemBytes *int64   `json:"anon_shmem_bytes,omitempty"`
	SwapBytes      *int64   `json:"swap_bytes,omitempty"`
	Processes      *int64   `json:"processes,omitempty"`
	ShmBytes       *int64   `json:"shm_bytes,omitempty"`        // in /dev/shm
	CPUCores       *float64 `json:"cpu_cores,omitempty"`        // busy at once
	GPUMemoryBytes *int64   `json:"gpu_memory_bytes,omitempty"` // on one GPU, by the job where that is known, else by whomever
}

// Evidence is what says why a job ended. 0 is none, or not known.
type Evidence struct {
	OOMKills             int64   `json:"oom_kills,omitempty"`           // processes of the job that the kernel ended for want of memory
	OOMKillsEnclosing    int64   `json:"oom_kills_enclosing,omitempty"` // likewise, while the job ran, in the control group around it
	OOMKillsHost         int64   `json:"oom_kills_host,omitempty"`      // and on the whole machine
	MemoryLimit          int64   `json:"memory_limit_bytes,omitempty"`
	EnclosingMemoryLimit int64   `json:"enclosing_memory_limit_bytes,omitempty"`
	EnclosingGroup       string  `json:"enclosing_group,omitempty"` // whose limit that is, where it was met: "Slurm step 42.0", or the group's path
	ShmSize              int64   `json:"shm_size_bytes,omitempty"`
	TimeLimit            float64 `json:"time_limit_seconds,omitempty"` // that was reached

	OOMVictims []string `json:"oom_victims,omitempty"` // names of the processes that were ended, where the kernel's log says
	Largest    *Process `json:"largest_process,omitempty"`
	Said       string   `json:"said,omitempty"` // what the job printed that the cause goes by

	GPU *GPUEvidence `json:"gpu,omitempty"` // the fullest, of a job that spoke of GPU memory
}

// GPUEvidence is how full a GPU was at most. 0 is not known.
type GPUEvidence struct {
	Index          int   `json:"index"`
	MemoryBytes    int64 `json:"memory_bytes"`
	JobMemoryBytes int64 `json:"job_memory_bytes,omitempty"`
	TotalBytes     int64 `json:"total_bytes"`
}

// Process is one of a job's, when it was last looked at.
type Process struct {
	Name        string `json:"name"` // as it calls itself
	MemoryBytes int64  `json:"memory_bytes"`
}

// LogStat counts what the job printed, in bytes: Bytes is Kept and Dropped together.
type LogStat struct {
	Bytes   int64 `json:"bytes"`
	Kept    int64 `json:"kept"`
	Dropped int64 `json:"dropped"`
}

// evidence takes secrets out of what a job calls itself, and says.
func (r *redactor) evidence(of *Evidence) *Evidence {
	if of == nil {
		return nil
	}
	e := *of
	e.Said, e.OOMVictims = r.text(e.Said), r.list("", e.OOMVictims)
	if e.Largest != nil {
		e.Largest = &Process{Name: r.text(e.Largest.Name), MemoryBytes: e.Largest.MemoryBytes}
	}
	return &e
}
