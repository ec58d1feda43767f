package main

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
)

const logsDescription = `
The output is that of the job, standard output and standard error together, in
the order in which they came, as it is; known secrets are taken out. The log
keeps the first 10 and the last 90 MiB of much output. It is there as long as
the record is, and can be read by others who may read the record.

Examples:
  coracle logs last
  coracle logs --tail 20 -f train
`

func logsCommand() *cli.Command {
	return &cli.Command{
		Name:        "logs",
		Usage:       "Print what the job of a run has printed",
		ArgsUsage:   "ID|NAME|last",
		Description: logsDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "Go on as the job prints, until it ends"},
			&cli.StringFlag{Name: "tail", Aliases: []string{"n"}, Value: "all", Usage: "Begin with the last `N` lines (default: all)"},
		},
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the id or name of a run", 1); err != nil {
				return err
			}
			lines, err := tailFlag(c.String("tail"))
			if err != nil {
				return err
			}
			runs, err := openRuns(c)
			if err != nil {
				return failing(c, err)
			}
			v, err := runs.Get(c.Args().First())
			if err != nil {
				return failing(c, err)
			}
			ctx, stop := interruptible(c.Context)
			defer stop()
			if err := v.CopyLog(ctx, printer(c).Raw(), lines, c.Bool("follow") && v.State == record.Running); err != nil {
				return failing(c, err)
			}
			return interrupted(ctx)
		},
	}
}

// tailFlag is how many lines are wanted; -1: all.
func tailFlag(text string) (int, error) {
	if text == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, usagef("logs", "--tail %q is neither a number of lines nor all", text)
	}
	return n, nil
}
