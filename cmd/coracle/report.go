package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

const reportDescription = `
The page says how a run ended and why, what it used, what it learned, and what
could be better next time. Of a run that goes on it is the page so far.

A run is named by its id, which may be shortened, by its name, or by 'last'.
'coracle run --summary always' prints the same page at the end of a run.

Examples:
  coracle report last
  coracle report 01KAH9V2QX
`

// pageWidth is the width of a page where there is no terminal.
const pageWidth = 100

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:        "report",
		Usage:       "Tell of a run on one page",
		ArgsUsage:   "RUN",
		Description: reportDescription,
		Action:      reportAction,
	}
}

func reportAction(c *cli.Context) error {
	if err := needArguments(c, "the id or name of a run", 1); err != nil {
		return err
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	return failing(c, printReport(c, runs))
}

func printReport(c *cli.Context, runs *record.Runs) error {
	r, err := readRun(runs, c.Args().First(), textPoints, 0)
	if err != nil {
		return err
	}
	p := printer(c)
	for _, text := range report.Text(&r, words(), p.Width(pageWidth), time.Now()) {
		if err := p.Line("%s", text); err != nil {
			return err
		}
	}
	return nil
}

// textPoints is of how many points a curve in a line of text is made.
const textPoints = 200

// readRun finds a run and reads what is beside its record.
func readRun(runs *record.Runs, asked string, points, lines int) (report.Run, error) {
	v, err := runs.Get(asked)
	if err != nil {
		return report.Run{}, err
	}
	return report.Read(v, points, lines)
}

// words are how pages put numbers.
func words() report.Words {
	return report.Words{
		Escape: ui.Escape, Memory: ui.Memory, Size: ui.Size, Duration: ui.Duration,
		Time: func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") },
	}
}
