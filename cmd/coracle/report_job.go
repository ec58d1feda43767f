package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

// jobReport tells of all runs of one job of a batch scheduler on one page.
func jobReport(c *cli.Context, runs *record.Runs) error {
	list, err := runs.Select(record.Selection{})
	if err != nil {
		return err
	}
	batch := report.Gather(c.String("job"), list)
	if len(batch.Tasks) == 0 {
		return fmt.Errorf("%w: of job %q of a batch scheduler", record.ErrNotFound, batch.Job)
	}
	if c.IsSet("html") {
		return writeJobPage(c, &batch)
	}
	return printJob(c, runs, &batch)
}

// writeJobPage writes the job's page for a browser, with those runs in full that tell most.
func writeJobPage(c *cli.Context, batch *report.Batch) error {
	var list []report.Run
	for _, t := range batch.Notable(report.JobRuns) {
		r, err := report.Read(t.Run, report.PagePoints(report.JobRuns), tailLines)
		if err != nil {
			return err
		}
		r.Name = "task " + t.Task
		list = append(list, r)
	}
	var b bytes.Buffer
	if err := report.JobHTML(&b, batch, list, words(), time.Now()); err != nil {
		return err
	}
	return deliverPage(c, b.Bytes())
}

const (
	mostTasks = 20 // in lines: those that tell most
	tailOfJob = 10 // lines of the output of the task that failed first
)

func printJob(c *cli.Context, runs *record.Runs, batch *report.Batch) error {
	p, now := printer(c), time.Now()
	for _, line := range batch.Page(words(), now) {
		if err := p.Line("%s", line); err != nil {
			return err
		}
	}
	short, err := shortIDs(runs)
	if err != nil {
		return err
	}
	if err := p.Line(""); err != nil {
		return err
	}
	if err := p.Table(notableTable(batch, short, now)); err != nil {
		return err
	}
	if more := len(batch.Tasks) - mostTasks; more > 0 {
		if err := p.Line("and %d more: coracle runs --job %s", more, batch.Job); err != nil {
			return err
		}
	}
	return printFirstFailure(p, batch)
}

func notableTable(batch *report.Batch, short map[string]string, now time.Time) ui.Table {
	const mostMetrics = 4
	metrics := batch.MetricNames(mostMetrics)
	t := ui.Table{Columns: []ui.Column{{Title: "TASK"}, {Title: "RUN ID"}}}
	for i, title := range report.CellTitles(metrics) {
		column := ui.Column{Title: ui.Escape(title)}
		if i == 0 { // the node
			column.Cut = ui.Front
		}
		t.Columns = append(t.Columns, column)
	}
	for _, task := range batch.Notable(mostTasks) {
		t.Rows = append(t.Rows, append([]string{task.Task, runID(task.Run.ID, short, false)}, task.Cells(words(), now, metrics)...))
	}
	return t
}

// printFirstFailure says what the task that failed first has to say.
func printFirstFailure(p *ui.Printer, batch *report.Batch) error {
	first := batch.First
	if first == nil {
		return nil
	}
	r, err := report.Read(first.Run, textPoints, tailOfJob)
	if err != nil {
		return err
	}
	lines := []string{"", "FIRST TO FAIL: task " + first.Task + " on " + first.Node, r.Message, r.Advice}
	if len(r.Tail) > 0 {
		lines = append(lines, "its output ends:")
		for _, line := range r.Tail {
			lines = append(lines, "  "+line)
		}
	}
	for i, line := range lines {
		if line == "" && i > 0 {
			continue
		}
		if err := p.Line("%s", line); err != nil {
			return err
		}
	}
	return nil
}
