package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/detach"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/runtime/container"
)

// detachFlags are the flags of run that say how it parts from its caller.
func detachFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "Print the run's id once the job has begun, and let it go on in the background"},
		detachKeysFlag(),
		&cli.StringFlag{Name: "restart", Value: "no", Usage: "Start the job again `WHEN` it has ended: no (the default), on-failure, on-failure:N, always or unless-stopped"},
	}
}

// partingOptions reads them.
func partingOptions(c *cli.Context, o *job.Options) (err error) {
	if o.DetachKeys, err = detachKeys(c); err != nil {
		return err
	}
	o.Detach = c.Bool("detach")
	if o.Restart, err = job.ParseRestart(c.String("restart")); err == nil && o.Restart.Text != "" && o.Share == job.ShareNode {
		err = usagef(commandName(c), "--restart does not go with --share node: a rank is not started again alone")
	}
	return err
}

func detachKeysFlag() cli.Flag {
	return &cli.StringFlag{Name: "detach-keys", Value: detach.DefaultKeys, Usage: "Leave the job's terminal by these `KEYS`, and let the job go on (default: " + detach.DefaultKeys + "; \"\": by none)"}
}

// detachKeys reads it.
func detachKeys(c *cli.Context) (detach.Keys, error) {
	keys, err := detach.ParseKeys(c.String("detach-keys"))
	if err != nil {
		return keys, usagef(commandName(c), "--detach-keys: %v", err)
	}
	return keys, nil
}

// parts reports whether a run is to be supervised by a process of its own, which this one is not yet: that it can be left.
func parts(c *cli.Context) bool {
	if detach.Taken() != nil {
		return false
	}
	return c.Bool("detach") || c.Bool("interactive") && c.Bool("tty") && c.String("detach-keys") != "" && ui.IsTerminal(os.Stdin)
}

// part has another process run what this command line says, and returns when the job is on its own or has failed to begin.
func part(c *cli.Context) error {
	if err := container.Forgo(); err != nil { // the other one makes its own
		return failing(c, err)
	}
	end, err := detach.Start(append(job.Passed(), unix.SIGWINCH))
	if err != nil {
		return failing(c, err)
	}
	if !end.Parted {
		return (&job.ExitError{Code: end.Code}).OrNil() // it has said why
	}
	if !c.Bool("detach") {
		printer(c).Note("\nRun %s goes on; 'coracle attach' has its terminal again", end.Word)
		return nil
	}
	return printer(c).Line("%s", end.Word)
}

// begun is how a run lets go of its caller; nil: nobody waits for that.
func begun(layers string) func(id string) error {
	link := detach.Taken()
	if link == nil {
		return nil
	}
	return func(id string) error { return errors.Join(settlePlaces(layers), link.Part(id)) }
}

// settlePlaces has what is started from another directory find the same places.
func settlePlaces(layers string) error {
	var errs []error
	for name, value := range map[string]string{"CORACLE_ROOT": os.Getenv("CORACLE_ROOT"), "CORACLE_LAYERS": layers} {
		if os.Getenv(name) == "" || filepath.IsAbs(os.Getenv(name)) {
			continue
		}
		path, err := filepath.Abs(value)
		errs = append(errs, err, os.Setenv(name, path))
	}
	return errors.Join(errs...)
}
