package main

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/spec"
)

const renameDescription = `
The run may go on or have ended. No two runs that go on have one name; of those
that have ended several may, and then a name means the newest. One that is on
another host is renamed there.

Examples:
  coracle rename last baseline
  coracle rename baseline baseline-lr3
`

func renameCommand() *cli.Command {
	return &cli.Command{
		Name:        "rename",
		Usage:       "Give a run another name",
		ArgsUsage:   "ID|NAME|last NAME",
		Description: renameDescription,
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the id or name of a run", 2); err != nil {
				return err
			}
			if c.Args().Get(1) == "" {
				return usagef("rename", "the new name is missing")
			}
			s, err := openStore(c)
			if err != nil {
				return failing(c, err)
			}
			runs := record.Open(s.Dirs().Data)
			v, err := runs.Get(c.Args().First())
			if err != nil {
				return failing(c, err)
			}
			ctx, stop := interruptible(c.Context)
			defer stop()
			err = job.Rename(ctx, s, runs, v, c.Args().Get(1))
			if errors.Is(err, spec.ErrOption) {
				return usagef("rename", "%s", strings.TrimPrefix(err.Error(), spec.ErrOption.Error()+": "))
			}
			return failing(c, err)
		},
	}
}
