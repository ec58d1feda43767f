package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// Notable are at most so many of a job's tasks, those that tell most of it: who failed, in the order of the failures, then who took
// longest, then the others in theirs.
func (b *Batch) Notable(most int) []BatchTask {
	failed, slow, others := []BatchTask{}, []BatchTask{}, []BatchTask{}
	for i, t := range b.Tasks {
		switch {
		case Failed(t.Run):
			failed = append(failed, t)
		case b.Slowest == &b.Tasks[i]:
			slow = append(slow, t)
		default:
			others = append(others, t)
		}
	}
	slices.SortStableFunc(failed, func(x, y BatchTask) int {
		switch {
		case before(x.Run, y.Run):
			return -1
		case before(y.Run, x.Run):
			return 1
		}
		return 0
	})
	all := slices.Concat(failed, slow, others)
	return all[:min(most, len(all))]
}

// metricsOfJob is how many metrics a job's page has.
const metricsOfJob = 4

// Page is what a job's tasks come to, in lines: how they ended, when, with what, who failed first and who took longest, and between which
// values the last of each metric lie. They hold what strangers wrote as it is.
func (b *Batch) Page(w Words, now time.Time) []string {
	lines := b.Lines(w)
	if len(lines) == 0 {
		return nil
	}
	head, rest := lines[0], lines[1:]
	page := append([]string{head, b.when(w, now)}, b.used(w)...)
	page = append(page, rest...)
	return append(page, b.spread()...)
}

// when is from the first beginning to the last end.
func (b *Batch) when(w Words, now time.Time) string {
	var start, end time.Time
	for _, t := range b.Tasks {
		r := Run{View: t.Run}
		if at := r.Start(); start.IsZero() || at.Before(start) {
			start = at
		}
		switch {
		case t.Run.State == record.Running:
			end = now
		case t.Run.Finished != nil && t.Run.Finished.After(end):
			end = *t.Run.Finished
		}
	}
	word := "took"
	if b.Running > 0 {
		word = "runs for"
	}
	return fmt.Sprintf("started %s, %s %s", w.Time(start), word, seconds(w, max(0, end.Sub(start).Seconds())))
}

// used sums up what the tasks have used, and names who used most.
func (b *Batch) used(w Words) []string {
	var cpu, joules float64
	var most *BatchTask
	for i := range b.Tasks {
		t := &b.Tasks[i]
		if total := t.Run.Totals; total != nil {
			cpu += total.CPUSeconds
			if total.GPUEnergyJoules != nil {
				joules += *total.GPUEnergyJoules
			}
		}
		if p := t.Run.Peaks; p != nil && (most == nil || p.MemoryBytes > most.Run.Peaks.MemoryBytes) {
			most = t
		}
	}
	if most == nil {
		return nil
	}
	text := fmt.Sprintf("used %s of CPU, and at most %s of memory in one task (%s)", seconds(w, cpu), w.Memory(most.Run.Peaks.MemoryBytes), most.Task)
	if joules > 0 {
		text += fmt.Sprintf("; their GPUs took %.3g kWh, each counted for every task that had it", joules/3.6e6)
	}
	return []string{text}
}

// spread is between which values the last of each metric lie, and of which tasks.
func (b *Batch) spread() (lines []string) {
	for _, name := range b.MetricNames(metricsOfJob) {
		var have []BatchTask
		for _, t := range b.Tasks {
			if m, ok := t.Run.Metrics[name]; ok && !math.IsNaN(float64(m.Last)) {
				have = append(have, t)
			}
		}
		last := func(t BatchTask) record.Number { return t.Run.Metrics[name].Last }
		slices.SortStableFunc(have, func(x, y BatchTask) int { return cmp.Compare(last(x), last(y)) })
		switch n := len(have); {
		case n == 0:
		case n == 1:
			lines = append(lines, fmt.Sprintf("%s: %s (task %s)", name, Figure(last(have[0])), have[0].Task))
		case last(have[0]) == last(have[n-1]):
			lines = append(lines, fmt.Sprintf("%s: %s in all %d", name, Figure(last(have[0])), n))
		default:
			lines = append(lines, fmt.Sprintf("%s: %s (task %s) to %s (task %s), median %s",
				name, Figure(last(have[0])), have[0].Task, Figure(last(have[n-1])), have[n-1].Task, Figure(last(have[n/2]))))
		}
	}
	return lines
}

// Cells are a task's row in a table, after its name and its run's id: node, how it ended, duration, CPU, memory, and the metrics.
func (t *BatchTask) Cells(w Words, now time.Time, metrics []string) []string {
	r := Run{View: t.Run}
	verdict, _ := r.Verdict()
	cells := []string{t.Node, verdict, seconds(w, r.Seconds(now)), "", ""}
	if t.Run.Totals != nil {
		cells[3] = seconds(w, t.Run.Totals.CPUSeconds)
	}
	if t.Run.Peaks != nil {
		cells[4] = w.Memory(t.Run.Peaks.MemoryBytes)
	}
	for _, name := range metrics {
		cell := ""
		if m, ok := t.Run.Metrics[name]; ok {
			cell = Figure(m.Last)
		}
		cells = append(cells, cell)
	}
	return cells
}

// CellTitles are the titles of Cells.
func CellTitles(metrics []string) []string {
	titles := []string{"NODE", "END", "DURATION", "CPU", "MEMORY"}
	for _, name := range metrics {
		titles = append(titles, strings.ToUpper(name))
	}
	return titles
}
