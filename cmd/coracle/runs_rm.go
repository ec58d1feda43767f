package main

import (
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
)

const runsRmDescription = `
Removes the records of runs, with their metrics and output. The record of a run
that goes on stays: stop it first. A run on another host, of which it cannot be
known from here whether it goes on, needs --force.

Examples:
  coracle runs rm 01KAH9V2QX
  coracle runs rm baseline last

Exit codes:
  0      all of them are removed
  125    one was not found, or could not be removed; the others are removed
`

func runsRmCommand() *cli.Command {
	return &cli.Command{
		Name:        "rm",
		Usage:       "Remove the records of runs",
		ArgsUsage:   "ID|NAME|last...",
		Description: runsRmDescription,
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Remove that of a run which may be going on elsewhere"}},
		Action:      runsRmAction,
	}
}

func runsRmAction(c *cli.Context) error {
	if err := needArguments(c, "the id or name of a run", 0); err != nil {
		return err
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	var errs []error
	var found []record.View
	for _, asked := range c.Args().Slice() { // all are looked for first: 'last' is not to be another one after the first removal
		v, err := runs.Resolve(asked)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, v)
	}
	for _, v := range found {
		if err := runs.Remove(v, c.Bool("force")); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, printer(c).Line("%s", v.ID))
	}
	return failing(c, errors.Join(errs...))
}

const runsPruneDescription = `
Removes the records of runs that have ended, with their metrics and output: all
of them, or those that --filter and --keep leave. A lost run has ended. It asks
first, and takes only "y" for a yes. In a script say --force: without it and
without an answer on standard input nothing is removed, with status 125.

Examples:
  coracle runs prune --keep 100
  coracle runs prune --filter until=720h --dry-run
  coracle runs prune --filter cause=not-found --force

Exit codes:
  0      all of it is removed, or there was nothing to remove
  125    not confirmed, or something could not be removed
`

func runsPruneCommand() *cli.Command {
	return &cli.Command{
		Name:        "prune",
		Usage:       "Remove the records of runs that have ended",
		Description: runsPruneDescription,
		Flags: []cli.Flag{
			&line.List{Name: "filter", Usage: "Remove only `FILTER`, as 'coracle runs' has them"},
			&cli.IntFlag{Name: "keep", Usage: "Keep the newest `N` of them"},
			&cli.BoolFlag{Name: "dry-run", Usage: "Say what would be removed, and remove nothing"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Do not ask"},
			jsonFlag(),
		},
		Action: runsPruneAction,
	}
}

// prunedRuns is `runs prune --json`.
type prunedRuns struct {
	DryRun bool     `json:"dry_run"`
	Runs   []string `json:"runs"` // ids, the newest first
}

func runsPruneAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	filters, err := runFilters(c)
	if err != nil {
		return err
	}
	if c.Int("keep") < 0 {
		return usagef(commandName(c), "--keep cannot be less than 0")
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	views, err := runs.Select(record.Selection{Filters: filters})
	if err != nil {
		return failing(c, err)
	}
	ended := views[:0]
	for _, v := range views {
		if v.State == record.Ended || v.State == record.Gone {
			ended = append(ended, v)
		}
	}
	ended = ended[min(c.Int("keep"), len(ended)):]
	if err := confirmRuns(c, ended); err != nil {
		return failing(c, err)
	}
	pruned := prunedRuns{DryRun: c.Bool("dry-run"), Runs: []string{}}
	var errs []error
	for _, v := range ended {
		if !pruned.DryRun {
			if err := runs.Remove(v, false); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		pruned.Runs = append(pruned.Runs, v.ID)
	}
	errs = append(errs, printPrunedRuns(c, pruned))
	return failing(c, errors.Join(errs...))
}

// confirmRuns asks, unless the command line has answered or there is nothing to remove.
func confirmRuns(c *cli.Context, ended []record.View) error {
	if len(ended) == 0 || c.Bool("force") || c.Bool("dry-run") {
		return nil
	}
	oldest := ended[len(ended)-1].Created
	yes, err := printer(c).Ask(c.App.Reader, "This removes the records of %d runs, the oldest of %s, for good. Go on? [y/N] ", len(ended), ui.Ago(time.Now(), oldest))
	if err == nil && !yes {
		err = notConfirmedError{}
	}
	return err
}

func printPrunedRuns(c *cli.Context, pruned prunedRuns) error {
	p := printer(c)
	if c.Bool("json") {
		return p.JSON(pruned)
	}
	deleted := "Deleted"
	if pruned.DryRun {
		deleted = "Would delete"
	}
	for _, id := range pruned.Runs {
		if err := p.Line("%s: run %s", deleted, id); err != nil {
			return err
		}
	}
	return nil
}
