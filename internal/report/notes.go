package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// Thresholds of the notes, as shares. Those of CPU, GPU and time are the ones that users of Princeton's jobstats know.
const (
	lowGPU       = 0.25
	lowCPU       = 0.80
	shortTime    = 0.60
	lowMemory    = 0.50
	highMemory   = 0.95
	highPressure = 0.10
	highThrottle = 0.10
)

// least is how long a run takes, in seconds, before averages of it say something.
const least = 60

// Notes are what can be learned from a run, with advice, the most important first. Why the run ended is not among them: the record
// says that itself.
func (r *Run) Notes(w Words, now time.Time) (notes []string) {
	rules := []func(Words, float64) string{
		r.noteIO, r.noteCPU, r.noteThrottle, r.noteMemory, r.noteSwap, r.noteShm, r.noteKills, r.noteTime,
	}
	wall := r.measured(now)
	if text := r.noteMetrics(); text != "" {
		notes = append(notes, text)
	}
	notes = append(notes, r.gpuNotes(w, wall)...)
	for _, rule := range rules {
		if text := rule(w, wall); text != "" {
			notes = append(notes, text)
		}
	}
	for _, m := range r.Limits.Missing {
		notes = append(notes, fmt.Sprintf("--%s %s was asked for and did not hold: %s.", m.Limit, limitValue(w, m), m.Why))
	}
	if r.Log != nil && r.Log.Dropped > 0 {
		notes = append(notes, fmt.Sprintf("%s of its output are not kept.", w.Size(r.Log.Dropped)))
	}
	var dropped []string
	for _, why := range slices.Sorted(maps.Keys(r.MetricsDropped)) {
		dropped = append(dropped, fmt.Sprintf("%s %d", why, r.MetricsDropped[why]))
	}
	if len(dropped) > 0 {
		notes = append(notes, "Not all of what it said of its training is on record: "+strings.Join(dropped, ", ")+".")
	}
	if r.Unread > 0 {
		notes = append(notes, fmt.Sprintf("Lines of its series that cannot be read: %d.", r.Unread))
	}
	return notes
}

// limitValue is the value of a limit as one reads it.
func limitValue(w Words, l record.Limit) string {
	bytes, err := strconv.ParseInt(l.Value, 10, 64)
	if err != nil || bytes < 1<<10 || !strings.HasPrefix(l.Limit, "memory") {
		return l.Value
	}
	return w.Memory(bytes)
}

// noteMetrics names metrics that ended as no number.
func (r *Run) noteMetrics() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		if !r.Metrics[name].Last.Finite() {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	const most = 5
	if n := len(names); n > most {
		names = append(names[:most], fmt.Sprintf("%d more", n-most))
	}
	return fmt.Sprintf("Not a finite number at the end: %s. Try a lower learning rate, or gradient clipping.", strings.Join(names, ", "))
}

func (r *Run) noteIO(_ Words, wall float64) string {
	waited, ok := r.counter("pressure_io_seconds", func(t *record.Totals) *float64 { return t.IOPressure })
	if !ok || wall < least || waited/wall < highPressure {
		return ""
	}
	if _, told := r.inputBound(wall); told {
		return ""
	}
	share := 100 * min(1, waited/wall)
	if r.hostWide("totals.pressure_io_seconds") {
		return fmt.Sprintf("Processes of this machine, not only the job's, waited for I/O %.0f%% of the time: the job was possibly held up by its input.", share)
	}
	return fmt.Sprintf("It waited for I/O %.0f%% of the time: probably held up by its input. Try more data-loader workers, or data on a faster disk.", share)
}

// noteCPU compares with what was allotted, and says nothing of who had the whole machine.
func (r *Run) noteCPU(_ Words, wall float64) string {
	cpu, ok := r.counter("cpu_seconds", func(t *record.Totals) *float64 { return &t.CPUSeconds })
	most, what := r.cores()
	if !ok || wall < least || what == "cores" || most <= 1 {
		return ""
	}
	if _, told := r.inputBound(wall); told { // more workers are what it needs
		return ""
	}
	if used := cpu / wall; used/most < lowCPU && math.Ceil(used*1.1) < most {
		return fmt.Sprintf("It used %s of the %s cores that it could have: next time --cpus %.0f.", short(used), short(most), math.Max(1, math.Ceil(used*1.1)))
	}
	return ""
}

func (r *Run) noteThrottle(_ Words, wall float64) string {
	throttled, ok := r.counter("throttled_seconds", func(t *record.Totals) *float64 { return t.ThrottledSeconds })
	if !ok || wall < 1 || throttled/wall < highThrottle {
		return ""
	}
	return fmt.Sprintf("Its CPU limit held it back %.0f%% of the time: with more --cpus, or fewer threads, it would be faster.", 100*min(1, throttled/wall))
}

func (r *Run) noteMemory(w Words, _ float64) string {
	limit, peak := r.Limits.MemoryBytes, r.peakMemory()
	if limit == 0 || peak == 0 || r.Cause == record.OOM {
		return ""
	}
	switch share := float64(peak) / float64(limit); {
	case share >= highMemory:
		return fmt.Sprintf("Memory came within %.0f%% of its limit: next time --memory %s.", 100*(1-min(1, share)), roundUp(float64(limit)*1.25))
	case share < lowMemory && limit >= 1<<30:
		return fmt.Sprintf("It used %s of the %s that it could have: --memory %s would do.", w.Memory(peak), w.Memory(limit), roundUp(float64(peak)*1.25))
	}
	return ""
}

// roundUp is a size as --memory takes it.
func roundUp(bytes float64) string {
	if g := bytes / (1 << 30); g >= 2 {
		return fmt.Sprintf("%.0fg", math.Ceil(g))
	}
	const step = 64
	return fmt.Sprintf("%.0fm", math.Ceil(bytes/(1<<20)/step)*step)
}

func (r *Run) noteSwap(w Words, _ float64) string {
	if r.Peaks == nil || r.Peaks.SwapBytes == nil || *r.Peaks.SwapBytes < 64<<20 {
		return ""
	}
	return fmt.Sprintf("%s of it were swapped out, which is slow: give it more memory.", w.Memory(*r.Peaks.SwapBytes))
}

func (r *Run) noteShm(w Words, _ float64) string {
	if r.Peaks == nil || r.Peaks.ShmBytes == nil || r.Limits.ShmBytes == 0 || r.Cause == record.ShmFull {
		return ""
	}
	if used := *r.Peaks.ShmBytes; float64(used) >= highMemory*float64(r.Limits.ShmBytes) {
		return fmt.Sprintf("/dev/shm was almost full (%s of %s): next time --shm-size %s.", w.Memory(used), w.Memory(r.Limits.ShmBytes), roundUp(float64(r.Limits.ShmBytes)*2))
	}
	return ""
}

func (r *Run) noteKills(Words, float64) string {
	if r.Evidence == nil || r.Evidence.OOMKills == 0 || r.Cause == record.OOM {
		return ""
	}
	return fmt.Sprintf("The kernel ended %d of its processes for want of memory, a data-loader worker perhaps; the job itself went on.", r.Evidence.OOMKills)
}

// noteTime says how much of its time a run has left over.
func (r *Run) noteTime(w Words, wall float64) string {
	limit := r.timeLimit()
	if r.State == record.Running || limit == 0 || wall < least || r.Cause != record.Exited || wall/limit >= shortTime {
		return ""
	}
	return fmt.Sprintf("It took %s of the %s that it had: a shorter time limit starts earlier in a queue.", w.Duration(time.Duration(wall*1e9)), w.Duration(time.Duration(limit*1e9)))
}

// timeLimit is how long the job could take, in seconds: what --timeout gave it, or the batch scheduler, whichever is less; 0 where
// there is no limit.
func (r *Run) timeLimit() float64 {
	limit := r.Limits.TimeoutSeconds
	if r.Limits.Until != nil {
		if left := r.Limits.Until.Sub(r.Start()).Seconds(); left > 0 && (limit == 0 || left < limit) {
			limit = left
		}
	}
	return limit
}
