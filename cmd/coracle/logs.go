package main

import (
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/quantity"
	"github.com/coracle-run/coracle/internal/record"
)

const logsDescription = `
The output is that of the job, standard output and standard error together, in
the order in which they came, as it is; known secrets are taken out. The log
keeps the first 10 and the last 90 MiB of much output. It is there as long as
the record is, and can be read by others who may read the record.

With --timestamps each line begins with the time at which it was begun, in UTC.
--since and --until take such a time, a date, seconds since 1970, or how long
ago it was, such as 90s, 10m or 2h; of the last lines (--tail) those are left
that were begun then.

Examples:
  coracle logs last
  coracle logs --tail 20 -f train
  coracle logs --timestamps --since 10m train
`

func logsCommand() *cli.Command {
	return &cli.Command{
		Name:        "logs",
		Usage:       "Print what the job of a run has printed",
		ArgsUsage:   "ID|NAME|last",
		Description: logsDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "Go on as the job prints, until it ends"},
			&cli.StringFlag{Name: "since", Usage: "Leave out lines from before `TIME`, such as 10m ago"},
			&cli.StringFlag{Name: "until", Usage: "Leave out lines from `TIME` on"},
			&cli.BoolFlag{Name: "timestamps", Aliases: []string{"t"}, Usage: "Say when each line was printed"},
			&cli.StringFlag{Name: "tail", Aliases: []string{"n"}, Value: "all", Usage: "Begin with the last `N` lines (default: all)"},
		},
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the id or name of a run", 1); err != nil {
				return err
			}
			wants, err := logRange(c)
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
			wants.Follow = wants.Follow && v.State == record.Running
			if err := v.CopyLog(ctx, printer(c).Raw(), wants); err != nil {
				return failing(c, err)
			}
			return interrupted(ctx)
		},
	}
}

// logRange is what the flags say is wanted of a log.
func logRange(c *cli.Context) (wants record.LogRange, err error) {
	wants = record.LogRange{Follow: c.Bool("follow"), Stamps: c.Bool("timestamps")}
	if wants.Lines, err = tailFlag(c.String("tail")); err != nil {
		return wants, err
	}
	now := time.Now()
	for name, to := range map[string]*time.Time{"since": &wants.Since, "until": &wants.Until} {
		if !c.IsSet(name) {
			continue
		}
		at, err := quantity.Moment(c.String(name), now)
		if err != nil {
			return wants, usagef("logs", "--%s %q is no time: write %s, a date, or how long ago it was, such as 10m", name, c.String(name), now.UTC().Format(time.RFC3339))
		}
		*to = at
	}
	if !wants.Since.IsZero() && !wants.Until.IsZero() && !wants.Since.Before(wants.Until) {
		return wants, usagef("logs", "--since %s is not before --until %s", c.String("since"), c.String("until"))
	}
	return wants, nil
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
