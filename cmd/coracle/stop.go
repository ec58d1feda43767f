package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/signal"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/signals"
)

const stopDescription = `
The job gets its stop signal, SIGTERM unless the image or the run says another
one, and then the time that the run's --stop-timeout gives it. What has not
ended by then is killed. The record says that the run was asked to end. The ids
or names are printed as they end; a run that has ended already is no error.

Examples:
  coracle stop train
  coracle stop -t 60 train-1 train-2
`

func stopCommand() *cli.Command {
	return &cli.Command{
		Name:        "stop",
		Usage:       "Ask running jobs to end, and wait until they have",
		ArgsUsage:   "ID|NAME|last...",
		Description: stopDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "timeout", Aliases: []string{"time", "t"}, Usage: "Kill the job `TIME` after it was asked (default: as its run says)"},
		},
		Action: func(c *cli.Context) error {
			var limit *time.Duration
			if c.IsSet("timeout") {
				d, err := grace("stop", "--timeout", c.String("timeout"))
				if err != nil {
					return err
				}
				limit = &d
			}
			return wish{signal: unix.SIGTERM, limit: limit, wait: true}.of(c)
		},
	}
}

const killDescription = `
SIGKILL ends all of a job at once; the record says so. Other signals reach the
job as they reach it when they are sent to 'coracle run': those that ask it to
end (TERM, INT, HUP, QUIT) give it its time, USR1, USR2, ALRM, XCPU and CONT are
passed on, and no others.

Examples:
  coracle kill train
  coracle kill -s USR1 train
`

func killCommand() *cli.Command {
	return &cli.Command{
		Name:        "kill",
		Usage:       "Kill running jobs, or send them a signal",
		ArgsUsage:   "ID|NAME|last...",
		Description: killDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Value: "KILL", Usage: "Send `SIGNAL` (default: KILL)"},
		},
		Action: func(c *cli.Context) error {
			sig, err := signal.ParseSignal(c.String("signal"))
			if err != nil {
				return usagef("kill", "--signal %q is no signal", c.String("signal"))
			}
			if sig == unix.SIGKILL { // no time at all is what it comes to, and the record is complete
				return wish{signal: unix.SIGTERM, limit: new(time.Duration), wait: true, running: true}.of(c)
			}
			if !signals.Passes(sig) {
				return usagef("kill", "--signal %s is not passed on to a job: send KILL, or one of %s", c.String("signal"), strings.Join(signals.PassedNames(), ", "))
			}
			return wish{signal: sig, running: true}.of(c)
		},
	}
}

// wish is what some runs are sent.
type wish struct {
	signal  syscall.Signal
	limit   *time.Duration // for how long the jobs may take to end; nil: as their runs say
	wait    bool           // until they have ended
	running bool           // a run that has ended already is an error
}

// of sends it to those that are named, and prints their names.
func (w wish) of(c *cli.Context) error {
	if err := needArguments(c, "the id or name of a run", 0); err != nil {
		return err
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	asked := c.Args().Slice()
	find := runs.Get
	if w.running {
		find = runningOf(runs)
	}
	views, err := named(asked, find)
	if err != nil {
		return failing(c, err)
	}
	var errs []error
	for i, v := range views {
		if err := w.send(v); err != nil {
			errs = append(errs, fmt.Errorf("run %s: %w", asked[i], err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	for i, v := range views {
		if w.wait {
			if _, err := awaitRun(ctx, runs, v); err != nil || ctx.Err() != nil {
				return failing(c, errors.Join(err, interrupted(ctx)))
			}
		}
		if err := printer(c).Line("%s", asked[i]); err != nil {
			return err
		}
	}
	return nil
}

// send sends it to one run's supervisor.
func (w wish) send(v record.View) error {
	if v.State != record.Running {
		return nil
	}
	if w.limit != nil {
		if err := v.SetStopTimeout(*w.limit); err != nil {
			return fmt.Errorf("saying how long it has: %w", err)
		}
	}
	return v.Supervisor.Signal(w.signal)
}
