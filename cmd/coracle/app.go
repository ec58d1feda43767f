// Command coracle runs machine-learning jobs in containers, without a daemon and without root, and leaves a record of each
// run. This package holds one small file for each command; what commands do is in the packages below.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/internal/fence"
	"github.com/coracle-run/coracle/internal/limit"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/runtime/idmap"
)

// jobCommand makes a job.
const jobCommand = "run"

// ownArguments are the commands after whose first argument everything belongs to another program: the job, or ps.
var ownArguments = []string{jobCommand, execName, topName}

// Main is the program: it runs one command line and returns the exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := ui.New(stdout, stderr, os.Getenv)
	app := newApp(p)
	app.Reader, app.Writer, app.ErrWriter = stdin, p.Raw(), stderr
	return conclude(p, dispatch(app, args[min(1, len(args)):]))
}

// dispatch finds the command of a line and runs it, or prints its help.
func dispatch(app *cli.App, args []string) error {
	if len(args) > 0 && args[0] == "help" { // coracle help run
		args = append(args[1:len(args):len(args)], "--help")
	}
	l, err := line.Parse(app, args, ownArguments...)
	if err != nil {
		return err
	}
	if l.Help || len(args) == 0 {
		return line.WriteHelp(app.Writer, app, l.Path)
	}
	line.RememberNames(l.Path)
	return app.RunContext(context.Background(), l.Args)
}

const appDescription = `
Coracle runs one training or inference job at a time in an OCI image, as an
ordinary user: no daemon, no root, no setuid helper. Every run leaves a record
of what ran, on what, what it used and why it ended.

Examples:
  coracle run -v $PWD/data:/data:ro -v $PWD/out:/out IMAGE python3 train.py
  coracle runs show last
  coracle pull pytorch/pytorch:latest

Files:
  The store is $CORACLE_ROOT, else $XDG_DATA_HOME/coracle, else
  ~/.local/share/coracle. Image layers may live elsewhere: see --layers. What is
  set for good is in /etc/coracle/config.toml and ~/.config/coracle/config.toml:
  see 'coracle config'.

Exit codes:
  The job's own status passes through 'coracle run'; failures of Coracle itself
  and mistakes on the command line are 125.

'coracle COMMAND --help' tells more about a command.
`

func newApp(p *ui.Printer) *cli.App {
	app := &cli.App{
		Name:        line.Program,
		Usage:       "A lightweight container runtime for machine-learning jobs",
		UsageText:   line.Program + " [OPTIONS] COMMAND",
		Description: appDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "layers", Usage: "Keep image layers in `DIR`, on a local disk (default: in the store, if its file system can hold them; also $CORACLE_LAYERS)"},
			&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "Print the version and exit"},
		},
		Commands: []*cli.Command{
			runCommand(), pullCommand(), imagesCommand(), rmiCommand(), runsCommand(), reportCommand(), rerunCommand(), diffCommand(), psCommand(), statsCommand(), execCommand(), topCommand(), pauseCommand(), unpauseCommand(), logsCommand(), attachCommand(), stopCommand(), killCommand(), waitCommand(), noteCommand(), inspectCommand(), volumeCommand(), upperCommand(),
			loginCommand(), logoutCommand(), tagCommand(), pushCommand(), saveCommand(), loadCommand(),
			doctorCommand(),
			dfCommand(), gpusCommand(), pruneCommand(),
			gcCommand(), renameCommand(), cpCommand(), containerFilesCommand(),
			checkCommand(), configCommand(), versionCommand(), settleCommand(), sweepCommand(),
			completionCommand(), completeCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return printVersion(c)
			}
			return line.WriteHelp(c.App.Writer, c.App, nil)
		},
		Metadata: map[string]any{printerKey: p},
		// Options like -e take values with commas in them.
		DisableSliceFlagSeparator: true,
		HideHelp:                  true,
		HideVersion:               true,
		ExitErrHandler:            func(*cli.Context, error) {}, // Main exits
	}
	line.SetUsageErrors(app)
	return app
}

const printerKey = "printer"

// printer is what a command prints with.
func printer(c *cli.Context) *ui.Printer {
	p, ok := c.App.Metadata[printerKey].(*ui.Printer)
	if !ok {
		panic("the program was made without a printer")
	}
	return p
}

// layersFlag is the program's --layers, and not that of a command that has another one.
func layersFlag(c *cli.Context) string {
	for _, level := range slices.Backward(c.Lineage()) {
		if level.Command != nil && level.Command.Name == line.Program {
			return level.String("layers")
		}
	}
	return ""
}

// openStore opens the store and clears away what dead runs left in it.
func openStore(c *cli.Context) (*store.Store, error) {
	s, err := openStoreAsItIs(c)
	if err != nil {
		return nil, err
	}
	if err := reclaim(s); err != nil {
		printer(c).Warn("%v", err) // it can wait; the command cannot
	}
	return s, nil
}

// openStoreAsItIs opens the store for a command that wants to see what is in it, leftovers included.
func openStoreAsItIs(c *cli.Context) (*store.Store, error) {
	set, err := configuration(c)
	if err != nil {
		return nil, err
	}
	dirs, err := locate(set, layersFlag(c))
	if err != nil {
		return nil, err
	}
	if dirs.Note != "" {
		printer(c).Note("coracle: %s", dirs.Note)
	}
	s, err := store.Open(dirs)
	if err != nil {
		return nil, err
	}
	s.RemoveForeign(func(path string) error { // by newuidmap, which gains privileges
		return fence.Outside(func() error { return idmap.RemoveForeign(path) })
	})
	s.FollowDead(func(lease store.Lease) error {
		return fence.Outside(func() error { return limit.Reclaim(lease) })
	})
	return s, nil
}

// locate decides where the store is, by --layers, the variables and the files.
func locate(set *config.Config, flag string) (location.Dirs, error) {
	env, roots, err := storePlaces(set, flag)
	if err != nil {
		return location.Dirs{}, err
	}
	return location.Find(env, flag, roots...)
}

// storePlaces are what location.Find goes by beside --layers: the variables, and the directories that the configuration names.
func storePlaces(set *config.Config, flag string) (env func(string) string, roots []string, err error) {
	root, layers := set.Get("store.root"), set.Get("store.layers")
	if flag != "" {
		abs, err := filepath.Abs(flag)
		if err == nil {
			err = set.Choice(layers.Key, abs)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	env = func(name string) string {
		switch {
		case name == root.Variable:
			return root.Text()
		case name != layers.Variable:
			return os.Getenv(name)
		case layers.Origin() == config.Environment:
			return layers.Text()
		}
		return ""
	}
	if layers.Origin() == config.Environment || root.Origin() == config.Environment && !layers.Forced {
		return env, nil, nil // $CORACLE_ROOT has all in one place
	}
	return env, layers.Texts(), nil
}

// reclaim removes what dead runs left, and closes their records.
func reclaim(s *store.Store) error {
	dead, err := s.Reclaim()
	return errors.Join(err, closeRecords(dead))
}

// closeRecords closes the records of runs that did not live to do it.
func closeRecords(dead []store.Lease) (err error) {
	for _, lease := range dead {
		lost := record.MarkLost(lease.Run)
		if errors.Is(lost, record.ErrFinished) || errors.Is(lost, record.ErrRunning) || errors.Is(lost, fs.ErrNotExist) {
			continue // it was killed after it had written its result, or before it had a record; or the lease names another's
		}
		err = errors.Join(err, lost)
	}
	return err
}

// openRuns opens the records, of which dead ones have been closed.
func openRuns(c *cli.Context) (*record.Runs, error) {
	s, err := openStore(c)
	if err != nil {
		return nil, err
	}
	return record.Open(s.Dirs().Data), nil
}

// atMost checks how many arguments there are: before anything is opened.
func atMost(c *cli.Context, most int) error {
	if c.NArg() > most {
		return usagef(commandName(c), "unexpected argument %q", c.Args().Get(most))
	}
	return nil
}

func noArguments(c *cli.Context) error { return atMost(c, 0) }

// needArguments checks that at least one argument is there, and at most so many, when most is not 0.
func needArguments(c *cli.Context, what string, most int) error {
	if c.NArg() == 0 {
		return usagef(commandName(c), "%s is missing", what)
	}
	if most == 0 {
		return nil
	}
	return atMost(c, most)
}

// commandName is the words of the command that runs, without the program's.
func commandName(c *cli.Context) string {
	var name string
	for _, level := range c.Lineage() {
		if level.Command != nil && level.Command.Name != line.Program {
			name = line.Join(level.Command.Name, name)
		}
	}
	return name
}

// failing says what a command was doing when it failed. A usage error names its command itself.
func failing(c *cli.Context, err error) error {
	if _, usage := errors.AsType[*line.UsageError](err); err == nil || usage {
		return err
	}
	return fmt.Errorf("%s: %w", commandName(c), err)
}
