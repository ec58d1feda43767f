package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// plainWords put numbers in the least remarkable way.
var plainWords = Words{
	Escape: func(s string) string { return s }, Memory: func(n int64) string { return fmt.Sprintf("%dM", n>>20) },
	Size: func(n int64) string { return fmt.Sprintf("%dB", n) }, Duration: time.Duration.String,
	Time: func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}

func ptr[T any](v T) *T { return &v }

// plainRun is a run of which there is nothing to say.
func plainRun() Run {
	var r Run
	r.ID, r.State, r.Cause, r.ExitCode, r.Wall = "01K0000001ABCDEFGHJKMNPQRS", record.Ended, record.Exited, ptr(0), ptr(100.0)
	r.Totals, r.Peaks = &record.Totals{CPUSeconds: 190}, &record.Peaks{MemoryBytes: 700 << 20}
	r.Sources = map[string]string{"totals.pressure_io_seconds": "cgroup"}
	r.Host.CPUs, r.Host.MemoryBytes = 8, 32<<30
	r.Limits.Threads, r.Limits.MemoryBytes = 2, 1<<30
	return r
}

// busy is a GPU that was, for a part of the time.
func busy(share float64) (g GPU) {
	g.Use.Utilization, g.Use.Seconds = &record.Extent{Mean: share, Max: 1}, 100
	return g
}

// held is one whose clocks were held down.
func held(reason string, seconds float64) GPU {
	g := busy(0.9)
	g.Use.Throttled = map[string]float64{reason: seconds}
	return g
}

func TestNotes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *Run)
		want   string // part of the only note; "" for none
	}{
		{"nothing", func(*Run) {}, ""},
		{"GPUs idle", func(r *Run) { r.GPUs = []GPU{busy(0.1), busy(0.3)} }, "The GPUs were busy 20%"},
		{"a GPU idle", func(r *Run) { r.GPUs = []GPU{busy(0.1)} }, "The GPU was busy 10%"},
		{"GPUs busy", func(r *Run) { r.GPUs = []GPU{busy(0.3)} }, ""},
		{"GPUs of which nobody knows", func(r *Run) { r.GPUs = []GPU{{}} }, ""},
		{"a GPU that nobody uses", func(r *Run) { r.GPUs = []GPU{busy(0.9), busy(0)} }, "GPU 0 did nothing: the job uses 1 of its 2 GPUs."},
		{"GPUs idle in a short run", func(r *Run) { r.GPUs, r.Wall, r.Totals.CPUSeconds = []GPU{busy(0)}, ptr(5.0), 10 }, ""},
		{"GPUs that wait for input", func(r *Run) { r.GPUs, r.Totals.IOPressure = []GPU{busy(0.38)}, ptr(22.0) },
			"The GPU was busy 38% of the time, while the job waited for I/O 22%: probably held up by its input. Try data on a faster disk"},
		{"GPUs that wait for input, and cores that wait for work", func(r *Run) {
			r.GPUs, r.Totals.IOPressure, r.Totals.CPUSeconds, r.Limits.Threads = []GPU{busy(0.38)}, ptr(22.0), 250, 8
		}, "It used 2.50 of 8 allowed cores: try more data-loader workers"},
		{"GPUs busy while the job waits", func(r *Run) { r.GPUs, r.Totals.IOPressure = []GPU{busy(0.9)}, ptr(22.0) }, "It waited for I/O 22%"},
		{"GPU memory left over", func(r *Run) {
			g := busy(0.9)
			g.MemoryBytes, g.Use.JobMemoryBytes, g.Use.MemoryBytes = 80<<30, ptr(int64(12<<30)), ptr(int64(12<<30))
			r.GPUs = []GPU{g}
		}, "It used at most 12288M of the 81920M of GPU memory: there is room for larger batches."},
		{"GPU memory of which nobody knows", func(r *Run) {
			g := busy(0.9)
			g.MemoryBytes = 80 << 30
			r.GPUs = []GPU{g}
		}, ""},
		{"too hot", func(r *Run) { r.GPUs = []GPU{held("hw_thermal_slowdown", 20)} }, "Clocks were held down: GPU 0 20% of the time (hw thermal slowdown); too hot, or short of power"},
		{"at its power limit", func(r *Run) { r.GPUs = []GPU{held("sw_power_cap", 30)} }, "GPU 0 30% of the time (sw power cap); it reached its power limit, which is usual"},
		{"at its power limit now and then", func(r *Run) { r.GPUs = []GPU{held("sw_power_cap", 20)} }, ""},
		{"others on the GPU", func(r *Run) {
			g := busy(0.9)
			g.Use.JobMemoryBytes, g.Use.MemoryBytes = ptr(int64(2<<30)), ptr(int64(12<<30))
			r.GPUs = []GPU{g}
		}, "Others used GPU 0 at the same time: 10240M of its memory"},
		{"a GPU that is lost", func(r *Run) {
			g := busy(0.9)
			g.Use.Lost = "GPU is lost"
			r.GPUs, r.Wall, r.Totals.CPUSeconds = []GPU{g}, ptr(5.0), 10
		}, "GPU 0 did not answer any more: GPU is lost."},
		{"a helper that hangs", func(r *Run) { r.GPUs, r.GPUError = []GPU{busy(0.9)}, "the GPU helper does not answer within 5s" },
			"The GPUs were not measured to the end: the GPU helper does not answer within 5s."},
		{"cores left over", func(r *Run) { r.Limits.Threads = 8 }, "used 1.90 of the 8 cores that it could have: next time --cpus 3"},
		{"a machine left over", func(r *Run) { r.Limits.Threads = 0 }, ""},
		{"input", func(r *Run) { r.Totals.IOPressure = ptr(22.0) }, "waited for I/O 22% of the time: probably held up"},
		{"the machine's input", func(r *Run) { r.Totals.IOPressure, r.Sources = ptr(22.0), nil }, "not only the job's, waited for I/O 22%"},
		{"little input", func(r *Run) { r.Totals.IOPressure = ptr(2.0) }, ""},
		{"throttled", func(r *Run) { r.Totals.ThrottledSeconds = ptr(30.0) }, "held it back 30%"},
		{"memory almost out", func(r *Run) { r.Peaks.MemoryBytes = 1000 << 20 }, "came within 2% of its limit: next time --memory 1280m"},
		{"memory out", func(r *Run) { r.Peaks.MemoryBytes, r.Cause = 1000<<20, record.OOM }, ""},
		{"memory left over", func(r *Run) { r.Limits.MemoryBytes = 64 << 30 }, "--memory 896m would do"},
		{"no limit", func(r *Run) { r.Limits.MemoryBytes = 0 }, ""},
		{"swapped", func(r *Run) { r.Peaks.SwapBytes = ptr(int64(1 << 30)) }, "1024M of it were swapped out"},
		{"shared memory", func(r *Run) { r.Limits.ShmBytes, r.Peaks.ShmBytes = 64<<20, ptr(int64(63<<20)) }, "next time --shm-size 128m"},
		{"a worker killed", func(r *Run) { r.Evidence = &record.Evidence{OOMKills: 1} }, "ended 1 of its processes"},
		{"time left over", func(r *Run) { r.Limits.TimeoutSeconds = 3600 }, "took 1m40s of the 1h0m0s"},
		{"the batch job's time left over", func(r *Run) { r.Limits.TimeoutSeconds, r.Limits.Until = 3600, ptr(r.Start().Add(30*time.Minute)) }, "took 1m40s of the 30m0s"},
		{"the batch job's longer time", func(r *Run) { r.Limits.TimeoutSeconds, r.Limits.Until = 3600, ptr(r.Start().Add(2*time.Hour)) }, "took 1m40s of the 1h0m0s"},
		{"no number", func(r *Run) {
			r.Metrics = map[string]record.Metric{"loss": {}, "good": {}}
			m := r.Metrics["loss"]
			m.Add(0/zero, 1)
			r.Metrics["loss"] = m
		}, "Not a finite number at the end: loss."},
		{"a limit that did not hold", func(r *Run) { r.Limits.Missing = []record.Limit{{Limit: "memory", Value: "209715200", Why: "no"}} }, "--memory 200M was asked for and did not hold: no."},
		{"output", func(r *Run) { r.Log = &record.LogStat{Dropped: 5} }, "5B of its output are not kept"},
		{"metrics", func(r *Run) { r.MetricsDropped = map[string]int64{"malformed": 2} }, "malformed 2"},
		{"series", func(r *Run) { r.Unread = 3 }, "series that cannot be read: 3"},
	} {
		r := plainRun()
		c.change(&r)
		got := r.Notes(plainWords, time.Now())
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

var zero = 0.0

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		change func(r *Run)
		want   string
		mood   Mood
	}{
		{func(*Run) {}, "finished", Good},
		{func(r *Run) { r.ExitCode = ptr(3) }, "failed (3)", Bad},
		{func(r *Run) { r.Cause, r.ExitCode = record.OOM, ptr(137) }, "out of memory", Bad},
		{func(r *Run) { r.Cause = record.Stopped }, "stopped", Good},
		{func(r *Run) { r.Cause, r.ExitCode = record.Stopped, ptr(143) }, "stopped", Bad},
		{func(r *Run) { r.State, r.Cause, r.ExitCode = record.Gone, record.Lost, nil }, "lost", Bad},
		{func(r *Run) { r.State, r.Cause, r.ExitCode = record.Running, "", nil }, "running", Ongoing},
		{func(r *Run) { r.Cause = "of-the-future" }, "of-the-future", Bad},
	} {
		r := plainRun()
		c.change(&r)
		if got, mood := r.Verdict(); got != c.want || mood != c.mood {
			t.Errorf("%s, %s; want %s, %s", got, mood, c.want, c.mood)
		}
	}
}
