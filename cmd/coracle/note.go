package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

const noteDescription = `
The note is kept with the run's record, with its time; 'coracle runs show' has
it. A run may have any number of notes, while it goes on and afterwards. What
looks like a secret in one (token=...) is not kept.

Examples:
  coracle note last 'the one for the paper'
  coracle note 01KAH9V2QX learning rate too high, loss diverges at step 300
`

func noteCommand() *cli.Command {
	return &cli.Command{
		Name:        "note",
		Usage:       "Add a note to the record of a run",
		ArgsUsage:   "ID|NAME|last TEXT...",
		Description: noteDescription,
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the id or name of a run", 0); err != nil {
				return err
			}
			if c.NArg() < 2 {
				return usagef("note", "the text of the note is missing")
			}
			runs, err := openRuns(c)
			if err != nil {
				return failing(c, err)
			}
			v, err := runs.Get(c.Args().First())
			if err != nil {
				return failing(c, err)
			}
			return failing(c, runs.Note(v.ID, strings.Join(c.Args().Tail(), " ")))
		},
	}
}
