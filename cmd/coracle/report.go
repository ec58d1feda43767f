package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

const reportDescription = `
The page says how a run ended and why, what it used, what it learned, and what
could be better next time. Of a run that goes on it is the page so far.

A run is named by its id, which may be shortened, by its name, or by 'last'.
'coracle run --summary always' prints the same page at the end of a run.

With --html the page is a file that holds everything it shows: curves of the
training above those of the resources, with values below the pointer and zoom,
notes, where everything came from, the end of the output. It works without a
network, is readable on paper and on a telephone, and has several runs beside
each other where several are named.

With --job the page is of all ranks of one job of a batch scheduler, or all
tasks of an array: how they ended, which failed first, which was slowest, what
they used together. In a browser those that failed first and took longest follow
in full.

Examples:
  coracle report last
  coracle report 01KAH9V2QX
  coracle report --html run.html last
  coracle report --html both.html baseline lr3
  coracle report --job $SLURM_JOB_ID --html job.html
`

// pageWidth is the width of a page where there is no terminal.
const pageWidth = 100

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:        "report",
		Usage:       "Tell of a run on one page",
		ArgsUsage:   "RUN [RUN...] | --job JOBID",
		Description: reportDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "html", Usage: "Write a page for a browser to `FILE`; - is standard output"},
			&cli.StringFlag{Name: "job", Usage: "Tell of all runs of `JOBID` of a batch scheduler"},
		},
		Action: reportAction,
	}
}

func reportAction(c *cli.Context) error {
	most := 1
	if c.IsSet("html") {
		most = mostRuns
	}
	if c.IsSet("job") {
		if c.NArg() > 0 {
			return usagef("report", "--job tells of all runs of a job, and of no others")
		}
	} else if err := needArguments(c, "the id or name of a run", most); err != nil {
		return err
	}
	if c.IsSet("html") && c.String("html") == "" {
		return usagef("report", "--html needs the name of a file")
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	if c.IsSet("job") {
		return failing(c, jobReport(c, runs))
	}
	if c.IsSet("html") {
		return failing(c, writePage(c, runs))
	}
	return failing(c, printReport(c, runs))
}

const (
	mostRuns  = 6  // that can be told apart on one page
	tailLines = 50 // of the output
)

// writePage writes the runs' page for a browser. A file appears whole.
func writePage(c *cli.Context, runs *record.Runs) error {
	var list []report.Run
	for _, asked := range c.Args().Slice() {
		r, err := readRun(runs, asked, report.PagePoints(c.NArg()), tailLines)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	var b bytes.Buffer
	if err := report.HTML(&b, list, words(), time.Now()); err != nil {
		return err
	}
	return deliverPage(c, b.Bytes())
}

// deliverPage writes a page to where --html says.
func deliverPage(c *cli.Context, page []byte) error {
	name := c.String("html")
	if name == "-" {
		_, err := printer(c).Raw().Write(page)
		return err
	}
	if err := fsx.WriteFile(name, page, 0o600); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
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
