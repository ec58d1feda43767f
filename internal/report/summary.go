package report

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// Mood is how a run stands, for the eye.
type Mood string

// notANumber is for what cannot be compared.
var notANumber = math.NaN()

// The moods.
const (
	Good    Mood = "good"
	Bad     Mood = "bad"
	Ongoing Mood = "running"
)

// Meter is one line of what a run used. Share is of 1, and NaN where there is nothing to compare with.
type Meter struct {
	Name  string
	Share float64
	Text  string
}

// Verdict is a run's end in two or three words.
func (r *Run) Verdict() (string, Mood) {
	switch {
	case r.State == record.Running:
		return "running", Ongoing
	case r.State == record.Gone:
		return "lost", Bad
	case r.Cause == record.Exited && r.ExitCode != nil && *r.ExitCode == 0:
		return "finished", Good
	case r.Cause == record.Exited && r.ExitCode != nil:
		return fmt.Sprintf("failed (%d)", *r.ExitCode), Bad
	case r.Cause == record.Stopped && r.ExitCode != nil && *r.ExitCode == 0:
		return "stopped", Good
	case causes[r.Cause] != "":
		return causes[r.Cause], Bad
	}
	return cmp.Or(string(r.Cause), string(r.State)), Bad
}

// causes are the causes in words.
var causes = map[record.Cause]string{
	record.OOM: "out of memory", record.GPUOOM: "GPU out of memory", record.ShmFull: "/dev/shm full", record.Timeout: "time limit", record.Preempted: "preempted", record.Signalled: "killed",
	record.Stopped: "stopped", record.NotFound: "no such command", record.NotExecutable: "not executable",
	record.StartFailure: "did not start", record.ImageFailure: "no image",
}

// Start is when the job began, or the run where the job did not.
func (r *Run) Start() time.Time {
	if r.Started != nil {
		return *r.Started
	}
	return r.Created
}

// Seconds is how long the job took, or takes by now.
func (r *Run) Seconds(now time.Time) float64 {
	switch {
	case r.State == record.Running:
		return max(0, now.Sub(r.Start()).Seconds())
	case r.Wall != nil && *r.Wall > 0:
		return *r.Wall
	case r.Finished != nil:
		return max(0, r.Finished.Sub(r.Start()).Seconds())
	}
	return 0
}

// measured is the time that a run's totals are of, in seconds.
func (r *Run) measured(now time.Time) float64 {
	if r.Totals == nil || r.State == record.Gone {
		return r.sampled
	}
	return r.Seconds(now)
}

// counter is a total: of the result or, while a run goes on, of the series.
func (r *Run) counter(name string, of func(*record.Totals) *float64) (v float64, ok bool) {
	if r.Totals != nil && r.State != record.Gone {
		if p := of(r.Totals); p != nil {
			return *p, true
		}
		return 0, false
	}
	v, ok = r.Now[name]
	return v, ok
}

func floats(p *int64) *float64 {
	if p == nil {
		return nil
	}
	v := float64(*p)
	return &v
}

// cores is how many CPUs the job may use, and what says so.
func (r *Run) cores() (n float64, what string) {
	for _, l := range r.Limits.Enforced {
		if v, err := strconv.ParseFloat(l.Value, 64); err == nil && l.Limit == "cpus" {
			return v, "allowed cores"
		}
	}
	if r.Limits.Threads > 0 {
		return float64(r.Limits.Threads), "allowed cores"
	}
	return float64(r.Host.CPUs), "cores"
}

// memory is how much the job may use, and what says so.
func (r *Run) memory() (bytes int64, what string) {
	if r.Limits.MemoryBytes > 0 {
		return r.Limits.MemoryBytes, "its limit of"
	}
	if r.Evidence != nil && r.Evidence.EnclosingMemoryLimit > 0 {
		return r.Evidence.EnclosingMemoryLimit, "a limit around it of"
	}
	return r.Host.MemoryBytes, "the machine's"
}

func (r *Run) peakMemory() int64 {
	if r.Peaks != nil && r.State != record.Gone {
		return r.Peaks.MemoryBytes
	}
	return int64(r.Most["memory_bytes"])
}

// Meters are what the run used, by kind.
func (r *Run) Meters(w Words, now time.Time) (list []Meter) {
	wall := r.measured(now)
	cpu, ok := r.counter("cpu_seconds", func(t *record.Totals) *float64 { return &t.CPUSeconds })
	if ok && wall > 0 {
		list = append(list, r.cpuMeter(w, cpu, wall))
	}
	if peak := r.peakMemory(); peak > 0 {
		list = append(list, r.memoryMeter(w, peak))
	}
	for i := range r.GPUs {
		list = append(list, r.gpuMeter(w, &r.GPUs[i]))
	}
	if m, ok := r.ioMeter(w, wall); ok {
		list = append(list, m)
	}
	in, received := r.counter("received_bytes", func(t *record.Totals) *float64 { return floats(t.ReceivedBytes) })
	out, sent := r.counter("sent_bytes", func(t *record.Totals) *float64 { return floats(t.SentBytes) })
	if received && sent {
		list = append(list, Meter{"Network", math.NaN(), fmt.Sprintf("received %s, sent %s", w.Size(int64(in)), w.Size(int64(out)))})
	}
	return list
}

func (r *Run) cpuMeter(w Words, seconds, wall float64) Meter {
	most, what := r.cores()
	busy := seconds / wall
	parts := []string{fmt.Sprintf("%s of %s %s busy", short(busy), short(most), what), w.Duration(time.Duration(seconds*1e9)) + " of CPU time"}
	throttled, ok := r.counter("throttled_seconds", func(t *record.Totals) *float64 { return t.ThrottledSeconds })
	if ok && throttled/wall >= 0.005 {
		parts = append(parts, fmt.Sprintf("held back by its limit %.0f%% of the time", 100*throttled/wall))
	}
	if most <= 0 {
		return Meter{"CPU", math.NaN(), strings.Join(parts[1:], ", ")}
	}
	return Meter{"CPU", busy / most, strings.Join(parts, ", ")}
}

func (r *Run) memoryMeter(w Words, peak int64) Meter {
	most, what := r.memory()
	m := Meter{Name: "Memory", Share: math.NaN(), Text: w.Memory(peak) + " at most"}
	if most > 0 {
		m.Share, m.Text = float64(peak)/float64(most), fmt.Sprintf("%s at most, of %s %s", w.Memory(peak), what, w.Memory(most))
	}
	if r.Peaks != nil && r.Peaks.AnonShmemBytes != nil && *r.Peaks.AnonShmemBytes > 0 {
		m.Text += "; anonymous and shared " + w.Memory(*r.Peaks.AnonShmemBytes)
	}
	if r.Peaks != nil && r.Peaks.SwapBytes != nil && *r.Peaks.SwapBytes > 0 {
		m.Text += "; swapped out " + w.Memory(*r.Peaks.SwapBytes)
	}
	return m
}

func (r *Run) ioMeter(w Words, wall float64) (Meter, bool) {
	read, ok := r.counter("file_read_bytes", func(t *record.Totals) *float64 { return floats(t.FileReadBytes) })
	written, _ := r.counter("file_write_bytes", func(t *record.Totals) *float64 { return floats(t.FileWriteBytes) })
	if !ok {
		return Meter{}, false
	}
	rate := func(bytes float64) string {
		if wall < 1 || bytes/wall < 1e3 {
			return ""
		}
		return " (" + w.Size(int64(bytes/wall)) + "/s)"
	}
	text := fmt.Sprintf("read %s%s, wrote %s%s", w.Size(int64(read)), rate(read), w.Size(int64(written)), rate(written))
	waited, known := r.counter("pressure_io_seconds", func(t *record.Totals) *float64 { return t.IOPressure })
	if share := waited / wall; known && wall >= 1 && share >= 0.01 {
		whose := "waited"
		if r.hostWide("totals.pressure_io_seconds") {
			whose = "the machine waited"
		}
		text += fmt.Sprintf(", %s for I/O %.0f%% of the time", whose, 100*min(1, share))
	}
	return Meter{"I/O", math.NaN(), text}, true
}

// hostWide reports whether a number counts others than the job, or nobody says.
func (r *Run) hostWide(name string) bool { return r.Sources[name] != "cgroup" }

// short is a number of two or three digits.
func short(v float64) string {
	switch {
	case v >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Figure is a number of a metric as one reads it.
func Figure(n record.Number) string { return strconv.FormatFloat(float64(n), 'g', 6, 64) }
