package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/attach"
	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/signals"
)

const attachDescription = `
What the job prints from now on is printed here as well, and what is typed here
the job reads, if it was started with -i. Any number of terminals can attach to
one job. One that does not read holds up nobody: it misses what it has no room
for, and 'coracle logs' has that.

A job with a terminal (-t) is left by typing Ctrl-P Ctrl-Q, and goes on; other
keys are the job's, and signals end this command alone. Without a terminal,
signals are passed on to the job, Ctrl-C as well, but for that of a terminal
that is closed (SIGHUP); with --sig-proxy=false none are. When the job ends, so
does this, with its status; of a run with --restart all later starts are joined,
and what they print is shown from their beginning.

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
		return failing(c, fmt.Errorf("run %s: %w", c.Args().First(), err))
	}
	options := attach.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Keys: keys}
	if c.Bool("no-stdin") {
		options.In = nil
	}
	if v.Restart != "" {
		options.Again = nextStart(runs, v)
	}
	ctx, stop := signalsTo(c, v)
	defer stop()
	left, err := attach.Run(ctx, conn, options)
	switch {
	case errors.Is(err, unix.EPIPE): // as without a word of our own
		return &job.ExitError{Code: 128 + int(unix.SIGPIPE)}
	case err != nil && !errors.Is(err, control.ErrOver):
		return failing(c, fmt.Errorf("run %s: %w", c.Args().First(), err))
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

// nextStart connects to the next start of a job. The error is control.ErrOver once there is none.
func nextStart(runs *record.Runs, v record.View) func(context.Context) (*control.Conn, error) {
	return func(ctx context.Context) (*control.Conn, error) {
		for {
			conn, err := job.Dial(ctx, v)
			if !errors.Is(err, control.ErrNotYet) {
				return conn, err
			}
			now, err := runs.Get(v.ID)
			if err != nil {
				return nil, err
			}
			if now.State != record.Running {
				return nil, control.ErrOver
			}
		}
	}
}

// signalsTo has signals reach the job, or end the context. Those to who looks at a terminal are their own: the job has others by its keys.
// A terminal that is closed has been left.
func signalsTo(c *cli.Context, v record.View) (ctx context.Context, stop func()) {
	if !c.Bool("sig-proxy") || v.TTY {
		return interruptible(c.Context, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGXCPU)
	}
	ctx, cancel := context.WithCancelCause(c.Context)
	coming := make(chan os.Signal, 16)
	for _, s := range signals.Passed() {
		if !signal.Ignored(s) {
			signal.Notify(coming, s)
		}
	}
	go func() {
		defer signal.Stop(coming)
		for {
			select {
			case s := <-coming:
				number, ok := s.(syscall.Signal)
				if number == syscall.SIGHUP {
					cancel(interruption{number})
				}
				if !ok || number == syscall.SIGHUP {
					continue
				}
				if err := v.Supervisor.Signal(number); err != nil {
					printer(c).Warn("passing on %s: %v", s, err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}
