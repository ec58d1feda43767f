package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/supervise"
)

const pauseDescription = `
All processes of the job stop where they are and use no processor until 'coracle
unpause'; their memory, files and GPUs stay theirs, and time limits go on. The
job does not notice where it has a control group of version 2; elsewhere each
process is stopped (SIGSTOP), which a parent may see. 'coracle ps' lists the run
as paused. A job that is asked to end, or reaches --timeout, goes on for that.

Examples:
  coracle pause train
  coracle pause train && nvidia-smi && coracle unpause train
`

func pauseCommand() *cli.Command {
	return &cli.Command{
		Name:        "pause",
		Usage:       "Stop running jobs for a while",
		ArgsUsage:   "ID|NAME|last...",
		Description: pauseDescription,
		Action:      func(c *cli.Context) error { return askEach(c, supervise.OpPause) },
	}
}

const unpauseDescription = `
A process that had stopped itself before 'coracle pause' goes on as well where
there is no control group of version 2.

Examples:
  coracle unpause train
`

func unpauseCommand() *cli.Command {
	return &cli.Command{
		Name:        "unpause",
		Usage:       "Let paused jobs go on",
		ArgsUsage:   "ID|NAME|last...",
		Description: unpauseDescription,
		Action:      func(c *cli.Context) error { return askEach(c, supervise.OpUnpause) },
	}
}

// askEach has the supervisors of some runs do one thing, and prints the names of those that have.
func askEach(c *cli.Context, operation string) error {
	if err := needArguments(c, "the id or name of a run", 0); err != nil {
		return err
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	names := c.Args().Slice()
	views, err := named(names, runningOf(runs))
	if err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	var errs []error
	for i, v := range views {
		if err := askOne(ctx, v, operation); err != nil {
			errs = append(errs, fmt.Errorf("run %s: %w", names[i], err))
			continue
		}
		if err := printer(c).Line("%s", names[i]); err != nil {
			return err
		}
	}
	return failing(c, errors.Join(errs...))
}

func askOne(ctx context.Context, v record.View, operation string) error {
	err := job.Ask(ctx, v, operation, nil, nil)
	if stopped := interrupted(ctx); err != nil && stopped != nil {
		return stopped
	}
	return err
}
