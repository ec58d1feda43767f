package main

import (
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

// summaryModes are when a run ends with its page.
var summaryModes = []string{"auto", "always", "never"}

func summaryFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "summary", Value: "auto", Usage: "Print the run's page at its end, on standard error, `WHEN`: always, never, or auto (on a terminal, after a minute or when the job has told metrics)"},
	}
}

// pageAtEnd is the page at the end of a run.
type pageAtEnd struct {
	printer *ui.Printer
	mode    string
}

func summaryOf(c *cli.Context) (pageAtEnd, error) {
	s := pageAtEnd{printer: printer(c), mode: c.String("summary")}
	if !slices.Contains(summaryModes, s.mode) {
		return s, usagef(jobCommand, "--summary is %s, not %q", strings.Join(summaryModes, ", "), s.mode)
	}
	return s, nil
}

// long is how long a run takes before a page about it says something.
const long = time.Minute

// print prints the page of a run that has ended. What goes wrong with it is no failure of the run.
func (s pageAtEnd) print(runs *record.Runs, id string) {
	if s.mode == "never" || id == "" || s.mode == "auto" && !s.printer.NotesToTerminal() {
		return
	}
	v, err := runs.Get(id)
	if err == nil && s.mode == "auto" && len(v.Metrics) == 0 && (v.Wall == nil || *v.Wall < long.Seconds()) {
		return
	}
	var r report.Run
	if err == nil {
		r, err = report.Read(v, textPoints, 0)
	}
	if err != nil {
		s.printer.Warn("no page about the run: %v", err)
		return
	}
	s.printer.Note("")
	for _, text := range report.Text(&r, words(), s.printer.NotesWidth(pageWidth), time.Now()) {
		s.printer.Note("%s", text)
	}
}
