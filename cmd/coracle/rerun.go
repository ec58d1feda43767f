package main

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/detach"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

const rerunDescription = `
Runs again what a record says: the same image by its digest, whatever its tag
means now, the same command, variables, mounts, limits and options. The image is
pulled when it is not stored any more. Further options are those of 'coracle
run' and take the place of the run's own; a command after -- takes the place of
the job's. The new run's record says which one it repeats.

What a record cannot hold is taken from you, and said: values of secrets from
your environment, by the same names, and variables of the scheduler. So is what
has changed since: the files of a mount, the commit checked out, the driver. The
GPUs are the very same ones where they can be had, else others by the same
--gpus, which is said.

A run is named by its id, which may be shortened, by its name, or by 'last'.

Examples:
  coracle rerun last
  coracle rerun baseline -e SEED=2 --name seed2
  coracle rerun 01KAH9V2QX -- python3 train.py --epochs 1
  coracle rerun --dry-run baseline

Exit codes:
  As 'coracle run' has them.
`

const dryRun = "dry-run"

func rerunCommand() *cli.Command {
	return &cli.Command{
		Name:        "rerun",
		Usage:       "Repeat a run as its record has it",
		ArgsUsage:   "RUN [-- COMMAND [ARG...]]",
		Description: rerunDescription,
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: dryRun, Usage: "Print the command, and run nothing"},
		}, runCommand().Flags),
		Action: rerunAction,
	}
}

func rerunAction(c *cli.Context) error {
	if err := needArguments(c, "the id or name of a run", 0); err != nil {
		return err
	}
	if c.Bool("detach") && parts(c) && !c.Bool(dryRun) {
		return part(c)
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	v, err := record.Open(s.Dirs().Data).Get(c.Args().First())
	if err != nil {
		return failing(c, err)
	}
	r := repeat{view: v, store: s, given: givenFlags(c), argv: c.Args().Tail(), layers: layersFlag(c), lookup: os.LookupEnv}
	words, err := r.command(c.Context)
	p := printer(c)
	if detach.Taken() == nil || c.Bool("detach") { // else the front has told
		r.tell(p)
	}
	if err != nil {
		return failing(c, err)
	}
	if c.Bool(dryRun) {
		return p.Line("%s", report.CommandLine(words))
	}
	app := newApp(p)
	app.Reader, app.Writer, app.ErrWriter = c.App.Reader, c.App.Writer, c.App.ErrWriter
	app.Metadata[repeatKey] = repetition{of: v.ID, command: words, gpus: r.gpus(), driver: r.driver()}
	return dispatch(app, words[1:])
}

// givenFlags are the flags of run that a rerun was given, in the form of line.Parse.
func givenFlags(c *cli.Context) (given []string) {
	for _, f := range runCommand().Flags {
		name := f.Names()[0]
		switch f.(type) {
		case *line.List:
			for _, value := range line.Values(c, name) {
				given = append(given, "--"+name+"="+value)
			}
		default:
			if c.IsSet(name) {
				given = append(given, "--"+name+"="+c.String(name))
				if _, ok := f.(*cli.BoolFlag); ok {
					given[len(given)-1] = "--" + name + "=" + boolText(c.Bool(name))
				}
			}
		}
	}
	return given
}

func boolText(v bool) string {
	if v {
		return "true"
	}
	return "false"
}

// repeatKey is where a run finds which one it repeats.
const repeatKey = "repeat"

// repetition is what a run that repeats another one puts on record.
type repetition struct {
	of      string
	command []string
	gpus    []string // UUIDs of what it had
	driver  string   // version of theirs
}

// commandOf is coracle's own command line, or that which a rerun amounts to.
func commandOf(c *cli.Context) []string {
	if r, ok := c.App.Metadata[repeatKey].(repetition); ok {
		return r.command
	}
	return os.Args
}

// repeatedGPUs are those of the run that this one repeats, which it takes if it can have all of them, and their driver's version.
func repeatedGPUs(c *cli.Context) (uuids []string, driver string) {
	r, _ := c.App.Metadata[repeatKey].(repetition)
	return r.gpus, r.driver
}

// rerunOf is the id of the run that this one repeats, or "".
func rerunOf(c *cli.Context) string {
	r, _ := c.App.Metadata[repeatKey].(repetition)
	return r.of
}

// tell says what is not on record, and what has changed since.
func (r *repeat) tell(p *ui.Printer) {
	for _, gap := range r.gaps {
		p.Warn("not on record: %s", gap)
	}
	for _, change := range r.changes {
		p.Warn("changed since that run: %s", change)
	}
}

var (
	errNoImage  = errors.New("the record does not say which image ran")
	errRedacted = errors.New("the record does not hold all of the command: a secret was taken out")
)

// redactedError says what has to be given again.
type redactedError struct{ places []string }

func (e *redactedError) Error() string {
	return errRedacted.Error() + " (" + strings.Join(e.places, ", ") + ")"
}

// Hint says how.
func (*redactedError) Hint() string { return "give the command again: coracle rerun RUN -- COMMAND" }
