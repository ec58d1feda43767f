package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/attach"
	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/record"
)

const attachDescription = `
What the job prints from now on is printed here as well, and what is typed here
the job reads, if it was started with -i. Any number of terminals can attach to
one job. One that does not read holds up nobody: it misses what it has no room
for, and 'coracle logs' has that.

A job with a terminal (-t) is left by typing Ctrl-P Ctrl-Q, and goes on. Without
one, signals are passed on to the job, Ctrl-C as well; with --sig-proxy=false
they end this command alone. When the job ends, so does this, with its status.

Examples:
  coracle attach train
  coracle attach --no-stdin --sig-proxy=false train
`

func attachCommand() *cli.Command {
	return &cli.Command{
		Name:        "attach",
		Usage:       "Show what a running job prints, and type what it reads",
		ArgsUsage:   "ID|NAME|last",
		Description: attachDescription,
		Flags: []cli.Flag{
			detachKeysFlag(),
			&cli.BoolFlag{Name: "no-stdin", Usage: "Type nothing"},
			&cli.BoolFlag{Name: "sig-proxy", Value: true, Usage: "Pass signals on to a job without a terminal (default: true)"},
		},
		Action: attachAction,
	}
}

func attachAction(c *cli.Context) error {
	if err := needArguments(c, "the id or name of a run", 1); err != nil {
		return err
	}
	keys, err := detachKeys(c)
	if err != nil {
		return err
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	v, err := running(runs, c.Args().First())
	if err != nil {
		return failing(c, err)
	}
	conn, err := job.Dial(c.Context, v)
	if err != nil {
		return failing(c, err)
	}
	options := attach.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Keys: keys}
	if c.Bool("no-stdin") {
		options.In = nil
	}
	ctx, stop := passOn(c, v)
	defer stop()
	left, err := attach.Run(ctx, conn, options)
	switch {
	case err != nil && !errors.Is(err, control.ErrOver):
		return failing(c, err)
	case ctx.Err() != nil:
		return interrupted(ctx)
	case left:
		printer(c).Note("\nRun %s goes on", v.ID)
		return nil
	}
	code, err := awaitRun(c.Context, runs, v)
	if err != nil {
		return failing(c, err)
	}
	return (&job.ExitError{Code: code}).OrNil()
}

// passOn passes signals on to a run's supervisor, or lets the first one end the context.
func passOn(c *cli.Context, v record.View) (ctx context.Context, stop func()) {
	if !c.Bool("sig-proxy") {
		return interruptible(c.Context)
	}
	coming := make(chan os.Signal, 16)
	for _, s := range job.Passed() {
		if !signal.Ignored(s) {
			signal.Notify(coming, s)
		}
	}
	ctx, cancel := context.WithCancel(c.Context)
	go func() {
		for {
			select {
			case s := <-coming:
				number, ok := s.(syscall.Signal)
				if !ok {
					continue
				}
				if err := v.Supervisor.Signal(number); err != nil {
					printer(c).Warn("passing on %s: %v", s, err)
				}
			case <-ctx.Done():
				signal.Stop(coming)
				return
			}
		}
	}()
	return ctx, cancel
}
