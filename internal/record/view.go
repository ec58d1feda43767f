package record

import "time"

// State is where a run stands.
type State string

// The states. A run is Running until its result is there or its supervisor is provably dead.
const (
	Running State = "running"
	Ended   State = "exited" // has a result, whatever the cause
	Gone    State = "lost"   // its supervisor died without a result; whoever reads the record then closes it as lost
	Damaged State = "damaged"
)

// View is a run and, when it has ended, its result, flattened into one object. The JSON is what `coracle runs show
// --json` prints.
type View struct {
	State  State `json:"state"`
	Paused bool  `json:"paused,omitempty"` // the job of a running one is (coracle pause)
	Run

	Restarting *Attempt `json:"restarting,omitempty"` // running: how its job has ended, which waits for its next start (--restart)

	Started  *time.Time `json:"started"`
	Finished *time.Time `json:"finished"`
	Wall     *float64   `json:"wall_seconds"`

	ExitCode *int   `json:"exit_code"`
	Signal   string `json:"signal,omitempty"`
	Cause    Cause  `json:"cause,omitempty"`
	Message  string `json:"message,omitempty"`
	Advice   string `json:"advice,omitempty"`

	Attempts []Attempt `json:"attempts,omitempty"`
	Restarts int       `json:"restarts,omitempty"`

	Evidence   *Evidence   `json:"evidence,omitempty"`
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`

	Totals  *Totals           `json:"totals,omitempty"`
	Peaks   *Peaks            `json:"peaks,omitempty"`
	Sources map[string]string `json:"sources,omitempty"`
	Log     *LogStat          `json:"log,omitempty"`

	GPUUse   map[string]GPUUse `json:"gpu_use,omitempty"`
	GPUError string            `json:"gpu_error,omitempty"`

	Metrics        map[string]Metric `json:"metrics,omitempty"`
	MetricsDropped map[string]int64  `json:"metrics_dropped,omitempty"`

	Notes []Note `json:"notes,omitempty"` // the oldest first

	Dir string `json:"dir"` // the record's directory, absolute
}

// view joins a run and its result; a nil result means that there is none yet.
func view(run Run, result *Result, dir string) View {
	v := View{Run: run, Dir: dir}
	if result == nil {
		v.State, v.Paused, v.Restarting = Running, isPaused(dir), restarting(dir)
		return v
	}
	v.State = Ended
	if result.Cause == Lost {
		v.State = Gone
	}
	if !result.Started.IsZero() {
		v.Started = &result.Started
	}
	v.Finished, v.Wall = &result.Finished, &result.Wall
	v.ExitCode, v.Signal, v.Cause = result.ExitCode, result.Signal, result.Cause
	v.Message, v.Advice, v.Evidence = result.Message, result.Advice, result.Evidence
	v.Checkpoint, v.Attempts, v.Restarts = result.Checkpoint, result.Attempts, result.Restarts
	v.Sources, v.Log = result.Sources, &result.Log
	if result.Cause != Lost || len(result.Sources) > 0 { // else nobody has measured them
		v.Totals, v.Peaks = &result.Totals, &result.Peaks
	}
	v.GPUUse, v.GPUError = result.GPUUse, result.GPUError
	v.Metrics, v.MetricsDropped = result.Metrics, result.MetricsDropped
	return v
}

// Standing is the state in a word, of which docker has two more: a running run is "paused" when its job is, and "restarting" when that has
// ended and waits for its next start.
func (v View) Standing() string {
	switch {
	case v.Restarting != nil:
		return "restarting"
	case v.Paused:
		return "paused"
	}
	return string(v.State)
}
