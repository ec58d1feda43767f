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

func TestNotes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *Run)
		want   string // part of the only note; "" for none
	}{
		{"nothing", func(*Run) {}, ""},
		{"GPUs idle", func(r *Run) { r.GPUs = []GPU{{Utilization: 0.1}, {Utilization: 0.3}} }, "GPUs were busy 20%"},
		{"GPUs busy", func(r *Run) { r.GPUs = []GPU{{Utilization: 0.3}} }, ""},
		{"GPUs idle in a short run", func(r *Run) { r.GPUs, r.Wall, r.Totals.CPUSeconds = []GPU{{}}, ptr(5.0), 10 }, ""},
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
