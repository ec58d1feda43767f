package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/oci/store"
)

// sweepName is the command that a run leaves behind.
const sweepName = "sweep"

const sweepDescription = `
A run does not wait until everything is removed that its job wrote; it leaves
much of it to this command. Where this cannot go on, the next command that
opens the store does.

Examples:
  coracle sweep ~/.local/share/coracle/tmp/node1...
`

// sweepCommand removes one directory of the layer root. It is not for people: a run starts it beside itself, because nobody is
// to wait for the removal of a writable layer of gigabytes.
func sweepCommand() *cli.Command {
	return &cli.Command{
		Name:        sweepName,
		Usage:       "Remove what a run has left to be removed",
		ArgsUsage:   "DIR",
		Description: sweepDescription,
		Hidden:      true,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef(sweepName, "it takes one directory")
			}
			s, err := openStoreAsItIs(c)
			if err != nil {
				return failing(c, err)
			}
			taken := func() { _ = os.Stdout.Close() } // what startSweeper waits for
			return failing(c, s.Sweep(c.Args().First(), taken))
		},
	}
}

// sweeper is what a run leaves a large writable layer to; nil where no process may outlive its command.
func sweeper(s *store.Store) func(path string) error {
	if os.Getenv(noSettle) != "" {
		return nil
	}
	return func(path string) error { return startSweeper(s, path) }
}

// startSweeper has another process remove a directory, in a session of its own, with nothing of the caller's but the store. It
// returns when the directory is that process's: from then on nobody takes it for a dead one's.
func startSweeper(s *store.Store, path string) error {
	cmd := exec.Command("/proc/self/exe", "--layers", s.Dirs().Layers, sweepName, path)
	cmd.Args[0] = os.Args[0]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	taken, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, taken.Close())
	}
	_, err = io.Copy(io.Discard, taken)
	return errors.Join(err, taken.Close(), cmd.Process.Release())
}
