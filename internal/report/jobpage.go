package report

import (
	"fmt"
	"io"
	"time"
)

// JobRuns is how many of a job's runs its page shows whole.
const JobRuns = 3

// pageJob is the part of a page that is about all tasks of a batch job.
type pageJob struct {
	Title  string
	Lines  []string
	Titles []string
	Tasks  []pageTask
	More   string
}

type pageTask struct {
	Name  string
	Mood  Mood
	Width int // of 100: its duration beside the longest
	Cells []string
}

// JobHTML writes the page of a batch job: all its tasks beside each other, and some of their runs, those of Notable, in full.
func JobHTML(out io.Writer, b *Batch, runs []Run, w Words, now time.Time) error {
	return write(out, makePageJob(b, w, now), runs, w, now)
}

func makePageJob(b *Batch, w Words, now time.Time) *pageJob {
	const most = 1000 // rows that a browser shows at once, and that anyone reads
	lines := b.Page(w, now)
	if len(lines) == 0 {
		return nil
	}
	metrics := b.MetricNames(metricsOfJob)
	p := &pageJob{Title: w.Escape(lines[0])}
	for _, line := range lines[1:] {
		p.Lines = append(p.Lines, w.Escape(line))
	}
	for _, title := range CellTitles(metrics) {
		p.Titles = append(p.Titles, w.Escape(title))
	}
	longest := 0.0
	for _, t := range b.Tasks {
		longest = max(longest, (&Run{View: t.Run}).Seconds(now))
	}
	for _, t := range b.Notable(most) {
		r := Run{View: t.Run}
		_, mood := r.Verdict()
		row := pageTask{Name: w.Escape(t.Task), Mood: mood}
		if longest > 0 {
			row.Width = int(100 * r.Seconds(now) / longest)
		}
		for _, cell := range t.Cells(w, now, metrics) {
			row.Cells = append(row.Cells, w.Escape(cell))
		}
		p.Tasks = append(p.Tasks, row)
	}
	if n := len(b.Tasks) - len(p.Tasks); n > 0 {
		p.More = fmt.Sprintf("%d more finished; 'coracle runs --job' has them all.", n)
	}
	return p
}
