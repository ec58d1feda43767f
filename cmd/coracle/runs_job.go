package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

// jobAction lists the runs of one job of a batch scheduler.
func jobAction(c *cli.Context, runs *record.Runs, s record.Selection) error {
	for _, other := range []string{"format", "sort", "limit"} {
		if c.IsSet(other) {
			return usagef(commandName(c), "--job has an order of its own: leave out --%s, or use --filter scheduler.SLURM_JOB_ID=%s", other, c.String("job"))
		}
	}
	list, err := runs.Select(s)
	if err != nil {
		return failing(c, err)
	}
	batch := report.Gather(c.String("job"), list)
	if len(batch.Tasks) == 0 {
		return failing(c, fmt.Errorf("%w: of job %q of a batch scheduler", record.ErrNotFound, batch.Job))
	}
	short, err := shortIDs(runs)
	if err != nil {
		return failing(c, err)
	}
	p, whole := printer(c), c.Bool("no-trunc")
	switch {
	case c.Bool("json"):
		return p.JSON(batch)
	case c.Bool("quiet"):
		return listedViews(batch.Runs(), short).whole(whole).printIDs(p)
	}
	if err := p.Table(jobTable(batch, short, whole, time.Now())); err != nil {
		return err
	}
	if err := p.Line(""); err != nil {
		return err
	}
	for _, line := range batch.Lines(words()) {
		if err := p.Line("%s", line); err != nil {
			return err
		}
	}
	return nil
}

// jobTable has a row for each task, with the metrics that most of them have.
func jobTable(b report.Batch, short map[string]string, whole bool, now time.Time) ui.Table {
	const most = 4 // metrics
	metrics := b.MetricNames(most)
	t := ui.Table{Columns: []ui.Column{
		{Title: "TASK"}, {Title: "RUN ID"}, {Title: "NODE", Cut: ui.Front}, {Title: "STATE"}, {Title: "CAUSE"}, {Title: "DURATION"}, {Title: "CPU"}, {Title: "MEMORY"},
	}}
	for _, name := range metrics {
		t.Columns = append(t.Columns, ui.Column{Title: strings.ToUpper(ui.Escape(name))})
	}
	for _, task := range b.Tasks {
		v := task.Run
		row := []string{task.Task, runID(v.ID, short, whole), task.Node, stateText(&v), string(v.Cause), durationText(&v, now), "", ""}
		if v.Totals != nil {
			row[6] = ui.Duration(time.Duration(v.Totals.CPUSeconds * float64(time.Second)))
		}
		if v.Peaks != nil {
			row[7] = ui.Memory(v.Peaks.MemoryBytes)
		}
		for _, name := range metrics {
			cell := ""
			if m, ok := v.Metrics[name]; ok {
				cell = report.Figure(m.Last)
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
