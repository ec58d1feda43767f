package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
)

const waitDescription = `
It prints the exit status of each, one on a line, in the order in which they are
named: what 'coracle run' ended with. Of a run that was lost, with the host or
its supervisor, it prints 255.

Examples:
  coracle wait last
  coracle wait train-1 train-2 && coracle diff train-1 train-2
`

func waitCommand() *cli.Command {
	return &cli.Command{
		Name:        "wait",
		Usage:       "Wait for runs to end, and print their exit statuses",
		ArgsUsage:   "ID|NAME|last...",
		Description: waitDescription,
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the id or name of a run", 0); err != nil {
				return err
			}
			runs, err := openRuns(c)
			if err != nil {
				return failing(c, err)
			}
			views, err := named(c.Args().Slice(), runs.Get)
			if err != nil {
				return failing(c, err)
			}
			ctx, stop := interruptible(c.Context)
			defer stop()
			for _, v := range views {
				code, err := awaitRun(ctx, runs, v)
				if err != nil {
					return failing(c, err)
				}
				if ctx.Err() != nil {
					return interrupted(ctx)
				}
				if err := printer(c).Line("%d", code); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// lostCode stands for the status of a run that has none.
const lostCode = 255

// awaitRun waits for one run and returns its status.
func awaitRun(ctx context.Context, runs *record.Runs, v record.View) (int, error) {
	for v.State == record.Running && ctx.Err() == nil {
		if err := v.Supervisor.Await(ctx); err != nil {
			return 0, fmt.Errorf("run %s: %w", v.ID, err)
		}
		var err error
		if v, err = runs.Get(v.ID); err != nil {
			return 0, err
		}
	}
	if v.ExitCode == nil {
		return lostCode, nil
	}
	return *v.ExitCode, nil
}
