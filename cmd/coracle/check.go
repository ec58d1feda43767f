package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
)

const checkDescription = `
Compares manifests, configurations and kept blobs with their digests, names with
the images they mean, and the files of each layer with what was unpacked: names,
types, modes, sizes, dates and link targets. No layer may hold files of another
user, set-id files or devices. With --read-data the files' content is read, too:
what the disk cannot read is found, and so is any change since the first
--repair --read-data, which notes what the content is.

--repair moves away what is damaged. Images whose layers went are whole again
after the next 'coracle pull' or 'coracle run'. A run that uses a damaged layer
keeps it until it ends.

Examples:
  coracle check
  coracle check --repair
  coracle check --read-data --json | jq .problems

Exit codes:
  0      nothing is damaged, or all of it is repaired
  1      something is damaged
  125    the store could not be checked, or not repaired
`

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:        "check",
		Usage:       "Verify what the store holds, and repair it",
		Description: checkDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "repair", Usage: "Move away what is damaged, so that it is fetched again"},
			&cli.BoolFlag{Name: "read-data", Usage: "Read the content of all files, too"},
			jsonFlag(),
		},
		Action: checkAction,
	}
}

// damagedError is the end of a check that found damage and left it.
type damagedError struct{ problems int }

func (e damagedError) Error() string { return count(e.problems, "problem") + " found" }
func (damagedError) ExitCode() int   { return 1 }
func (damagedError) Hint() string {
	return "'coracle check --repair' moves away what is damaged; what is needed of it is fetched again"
}

func checkAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	s, err := openStoreAsItIs(c)
	if err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	found, err := s.Check(ctx, store.CheckOptions{Repair: c.Bool("repair"), ReadData: c.Bool("read-data")})
	if stopped := interrupted(ctx); stopped != nil {
		return failing(c, stopped)
	}
	if c.Bool("json") {
		err = errors.Join(err, printer(c).JSON(found))
	} else {
		err = errors.Join(printChecked(printer(c), found, err == nil), err)
	}
	if left := found.Damage(); err == nil && left > 0 {
		err = damagedError{left}
	}
	return failing(c, err)
}

// printChecked prints what was found; finished says that all was looked at.
func printChecked(p *ui.Printer, found store.Checked, finished bool) error {
	for _, problem := range found.Problems {
		repaired := ""
		if problem.Repaired {
			repaired = " (repaired)"
		}
		if err := p.Line("%s %s: %s%s", problem.Kind, problem.Name, problem.Problem, repaired); err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("Checked %s, %s, %s with %s, %s: ", count(found.Images, "image"), count(found.References, "name"),
		count(found.Layers, "layer"), count(int(found.Entries), "file"), count(found.Blobs, "blob"))
	switch left := found.Damage(); {
	case left > 0:
		summary += count(left, "problem")
	case len(found.Problems) > 0:
		summary += "all repaired"
	case !finished:
		summary += "not finished"
	default:
		summary += "no problems"
	}
	if found.Unsealed > 0 {
		summary += fmt.Sprintf("; %s cannot be compared with anything until --repair", count(found.Unsealed, "layer"))
	}
	return p.Line("%s", summary)
}
