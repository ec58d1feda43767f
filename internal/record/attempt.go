package record

import (
	"maps"
	"reflect"
	"time"
)

// Attempt is one start of the job of a run with --restart, and how that ended.
type Attempt struct {
	Started  time.Time `json:"started"` // UTC
	Finished time.Time `json:"finished"`
	ExitCode int       `json:"exit_code"`
	Signal   string    `json:"signal,omitempty"`
	Cause    Cause     `json:"cause"`
	Message  string    `json:"message"`
}

// Of many attempts a result has the first and the last. All but the last are in events.jsonl.
const (
	firstAttempts = 20
	lastAttempts  = 80
)

// AddAttempt puts one more attempt into a result.
func (r *Result) AddAttempt(a Attempt) {
	if len(r.Attempts) > 0 {
		r.Restarts++
	}
	r.Attempts = append(r.Attempts, a)
	if len(r.Attempts) > firstAttempts+lastAttempts {
		r.Attempts = append(r.Attempts[:firstAttempts:firstAttempts], r.Attempts[firstAttempts+1:]...)
	}
}

// Include adds to the numbers of a result those of the attempts before it.
func (r *Result) Include(before Result) {
	join(&r.Totals, before.Totals, func(a, b float64) float64 { return a + b })
	join(&r.Peaks, before.Peaks, func(a, b float64) float64 { return max(a, b) })
	sources := maps.Clone(before.Sources)
	if sources == nil {
		sources = map[string]string{}
	}
	maps.Copy(sources, r.Sources)
	if len(sources) > 0 {
		r.Sources = sources
	}
	for index, b := range before.GPUUse {
		if r.GPUUse == nil {
			r.GPUUse = map[string]GPUUse{}
		}
		r.GPUUse[index] = r.GPUUse[index].after(b)
	}
}

// join joins the numbers of two structs of one type, field by field. What one of them does not know is the other's.
func join[T any](into *T, other T, of func(a, b float64) float64) {
	a, b := reflect.ValueOf(into).Elem(), reflect.ValueOf(other)
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		if x.Kind() == reflect.Pointer {
			if y.IsNil() {
				continue
			}
			if x.IsNil() {
				x.Set(y)
				continue
			}
			fresh := reflect.New(x.Type().Elem())
			fresh.Elem().Set(x.Elem())
			x.Set(fresh)
			x, y = x.Elem(), y.Elem()
		}
		if x.CanFloat() {
			x.SetFloat(of(x.Float(), y.Float()))
		} else {
			x.SetInt(int64(of(float64(x.Int()), float64(y.Int()))))
		}
	}
}

// after is what a GPU did in one attempt and in those before.
func (u GPUUse) after(before GPUUse) GPUUse {
	mean := func(a, b *Extent) *Extent {
		switch {
		case a == nil:
			return b
		case b == nil:
			return a
		}
		e := Extent{Mean: a.Mean, Max: max(a.Max, b.Max)}
		if seconds := u.Seconds + before.Seconds; seconds > 0 {
			e.Mean = (a.Mean*u.Seconds + b.Mean*before.Seconds) / seconds
		}
		return &e
	}
	out := GPUUse{
		Utilization: mean(u.Utilization, before.Utilization), MemoryUtilization: mean(u.MemoryUtilization, before.MemoryUtilization),
		SMActive: mean(u.SMActive, before.SMActive), TensorActive: mean(u.TensorActive, before.TensorActive),
		DRAMActive: mean(u.DRAMActive, before.DRAMActive), PowerWatts: mean(u.PowerWatts, before.PowerWatts), Celsius: mean(u.Celsius, before.Celsius),
		MemoryBytes: u.MemoryBytes, JobMemoryBytes: u.JobMemoryBytes, EnergyJoules: u.EnergyJoules,
		Missing: u.Missing, Seconds: u.Seconds + before.Seconds, Lost: u.Lost,
	}
	type numbers struct{ Memory, Job *int64 }
	most := numbers{out.MemoryBytes, out.JobMemoryBytes}
	join(&most, numbers{before.MemoryBytes, before.JobMemoryBytes}, func(a, b float64) float64 { return max(a, b) })
	out.MemoryBytes, out.JobMemoryBytes = most.Memory, most.Job
	type energy struct{ Joules *float64 }
	drawn := energy{out.EnergyJoules}
	join(&drawn, energy{before.EnergyJoules}, func(a, b float64) float64 { return a + b })
	out.EnergyJoules = drawn.Joules
	if len(u.Throttled)+len(before.Throttled) > 0 {
		out.Throttled = maps.Clone(before.Throttled)
		if out.Throttled == nil {
			out.Throttled = map[string]float64{}
		}
		for reason, seconds := range u.Throttled {
			out.Throttled[reason] += seconds
		}
	}
	if out.Lost == "" {
		out.Lost = before.Lost
	}
	return out
}

// attempts takes secrets out of what is said of attempts.
func (r *redactor) attempts(list []Attempt) []Attempt {
	out := make([]Attempt, len(list))
	for i, a := range list {
		a.Started, a.Finished, a.Message = a.Started.UTC(), a.Finished.UTC(), r.text(a.Message)
		out[i] = a
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
