package record

import (
	"slices"
	"time"
)

// Checkpoint is what came of asking a job to save its work before it had to end.
type Checkpoint struct {
	Why     string    `json:"why"`    // what for: a signal's name, or time-left
	Signal  string    `json:"signal"` // that the job was asked by
	Asked   time.Time `json:"asked"`  // UTC
	Targets []Target  `json:"targets"`

	Seconds float64 `json:"seconds"`          // from then to the job's end
	Forced  string  `json:"forced,omitempty"` // SIGTERM or SIGKILL, when the job had to be ended by it

	Files []ChangedFile `json:"files"`          // changed since then on writable volumes, the last first
	More  int           `json:"more,omitempty"` // that are not listed
	Part  bool          `json:"part,omitempty"` // not all of the volumes was looked at: there are too many files
}

// Target is a process that was asked.
type Target struct {
	PID  int    `json:"pid"` // inside
	Name string `json:"name"`
}

// ChangedFile is a file on a volume.
type ChangedFile struct {
	Path    string    `json:"path"` // inside
	Bytes   int64     `json:"bytes"`
	Changed time.Time `json:"changed"` // UTC
}

// checkpoint takes secrets out of what the job has named.
func (r *redactor) checkpoint(of *Checkpoint) *Checkpoint {
	if of == nil {
		return nil
	}
	c := *of
	c.Asked, c.Targets, c.Files = c.Asked.UTC(), slices.Clone(c.Targets), slices.Clone(c.Files)
	for i := range c.Targets {
		c.Targets[i].Name = r.text(c.Targets[i].Name)
	}
	for i := range c.Files {
		c.Files[i].Path, c.Files[i].Changed = r.text(c.Files[i].Path), c.Files[i].Changed.UTC()
	}
	return &c
}
