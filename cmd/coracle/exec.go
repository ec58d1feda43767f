package main

import (
	"errors"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/enter"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/runtime/container"
)

const execName = "exec"

const execDescription = `
The command runs beside the job as what the job is: in its namespaces and its
control group, with its user, environment, limits and system call filter, and
with no capabilities where the job has none. It sees what the job sees, GPUs
among that. It ends when the job ends. Its output is the caller's alone: not in
the log of the run; that it ran is in the record's events.

Signals to coracle reach the command: Ctrl-C, and what 'kill' sends. If coracle
itself is killed the command goes on, as docker's does, but nobody reads what it
prints (SIGPIPE); one with a terminal (-t) loses that, and gets SIGHUP. One with
-it is left by typing Ctrl-P Ctrl-Q: it goes on, and nobody sees it again.

Examples:
  coracle exec train nvidia-smi
  coracle exec -it train bash
  coracle exec -e DEBUG=1 -w /data train python3 look.py
  coracle exec -i train tar -xC /tmp < more.tar
  coracle exec -d train sh -c 'py-spy record -p 2 -o /out/profile.svg'

Exit codes:
  N      the command's own status; 128+N when signal N ended it, also when the
         job's end did (137)
  125    Coracle failed: no such run, it is over, no such user, ...
  126    the command cannot be executed
  127    the command is not in the container
`

func execCommand() *cli.Command {
	return &cli.Command{
		Name:        execName,
		Usage:       "Run a command in the container of a running job",
		ArgsUsage:   "ID|NAME|last COMMAND [ARG...]",
		Description: execDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "Give the command your standard input"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "Give the command a terminal"},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "Do not wait for the command, and drop its output"},
			detachKeysFlag(),
			&cli.BoolFlag{Name: "privileged", Hidden: true},
			&line.List{Name: "env", Aliases: []string{"e"}, Usage: "Set a variable over the job's: `NAME=VALUE`, or NAME for your own value"},
			&line.List{Name: "env-file", Usage: "Read variables from `FILE`, one a line"},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "Start in `DIR` of the container (default: where the job began)"},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "Be this `USER[:GROUP]` of the image, by name or number (default: the job's)"},
		},
		Action: execAction,
	}
}

func execAction(c *cli.Context) error {
	if c.NArg() < 2 {
		return usagef(execName, "%s is missing", []string{"the id or name of a run", "the command"}[c.NArg()])
	}
	if c.Bool("privileged") {
		return errPrivilegedExec
	}
	env, err := environment(c)
	if err != nil {
		return failing(c, err)
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
	code, err := enter.Run(c.Context, v, enter.Command{
		Args: c.Args().Tail(), Env: env, Dir: c.String("workdir"), User: c.String("user"),
		Interactive: c.Bool("interactive"), Terminal: c.Bool("tty"), Detached: c.Bool("detach"), Keys: keys,
	}, enter.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	switch {
	case errors.Is(err, enter.ErrLeft):
		printer(c).Note("\nThe command goes on, as long as run %s does", v.ID)
		return nil
	case errors.Is(err, unix.EPIPE): // as without a word of our own
		return &job.ExitError{Code: 128 + int(unix.SIGPIPE)}
	case errors.Is(err, container.ErrNotFound):
		return &job.ExitError{Code: 127, Err: failing(c, err)}
	case errors.Is(err, container.ErrNotExecutable):
		return &job.ExitError{Code: 126, Err: failing(c, err)}
	case err != nil && code != 0:
		return &job.ExitError{Code: code, Err: failing(c, err)}
	case err != nil:
		return failing(c, err)
	case code != 0:
		return &job.ExitError{Code: code}
	}
	return nil
}

// errPrivilegedExec is the answer to --privileged.
var errPrivilegedExec = &line.UsageError{
	Command: execName,
	Problem: "--privileged is refused: a command has what the job has, and nothing gives an ordinary user more",
	Advice:  "leave it out; what the command needs beside that, its job has to be started with: coracle run --cap-add, --security-opt seccomp=unconfined, --userns subuid",
}
