package main

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/detach"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/internal/terminal"
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
	return &cli.StringFlag{Name: "detach-keys", Value: terminal.DefaultKeys, Usage: "Leave the terminal by these `KEYS`, and let what runs there go on (default: " + terminal.DefaultKeys + "; \"\": by none)"}
}

// detachKeysText is what the keys are: as given, as set for good, or docker's.
func detachKeysText(c *cli.Context) (string, error) {
	set, err := configuration(c)
	if err != nil {
		return "", failing(c, err)
	}
	text, v := c.String("detach-keys"), set.Get("run.detach_keys")
	switch {
	case c.IsSet("detach-keys"):
		if err := set.Choice(v.Key, text); err != nil {
			return "", failing(c, err)
		}
	case v.Set():
		text = v.Text()
	}
	return text, nil
}

// detachKeys reads them.
func detachKeys(c *cli.Context) (terminal.Keys, error) {
	text, err := detachKeysText(c)
	if err != nil {
		return terminal.Keys{}, err
	}
	keys, err := terminal.ParseKeys(text)
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
	if c.Bool("detach") {
		return true
	}
	if !c.Bool("interactive") || !c.Bool("tty") || !terminal.Is(os.Stdin) {
		return false
	}
	keys, err := detachKeysText(c)
	return err == nil && keys != "" // else it is told later
}

// part has another process run what this command line says, and returns when the job is on its own or has failed to begin.
func part(c *cli.Context) error {
	if err := container.Forgo(); err != nil { // the other one makes its own
		return failing(c, err)
	}
	end, err := supervised(c)
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

// supervised has the other one started, and looks after the terminal while that has it: one that was killed leaves it to us.
func supervised(c *cli.Context) (end detach.End, err error) {
	held := terminal.Borrow(os.Stdin)
	if c.Bool("tty") && !c.Bool("detach") {
		defer func() { err = errors.Join(err, held.Return()) }()
		if err := held.Hold(); err != nil {
			return end, err
		}
		// To be stopped would leave the shell and the other one to read the same keys.
		signal.Notify(make(chan os.Signal, 1), unix.SIGTSTP)
	}
	return detach.Start(append(signals.Passed(), unix.SIGWINCH), func() error { return forgetSecrets(c) })
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
