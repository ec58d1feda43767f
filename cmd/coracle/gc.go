package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
)

const gcDescription = `
Removes what processes left that are provably dead, because they were killed or
the host went down: writable layers, control groups and systemd's scopes of
their runs, what they were making or removing, files of locks. Their records
are closed: the runs are lost. Nothing of a live run goes, nor of one on another
host, of which nothing can be proven here.

There is no need to call it. Every command that opens the store does the same;
this one says what it does, and asks nothing, since nobody can want it back.
'coracle prune' also removes what live processes do not need: images without a
name, layers and blobs that no image has.

Examples:
  coracle gc
  coracle gc --dry-run --json

Exit codes:
  0      all of it is removed, or there was nothing to remove
  125    something could not be removed; the rest is
`

func gcCommand() *cli.Command {
	return &cli.Command{
		Name:        "gc",
		Usage:       "Remove what killed runs left",
		Description: gcDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "Say what would be removed, and remove nothing"},
			jsonFlag(),
		},
		Action: gcAction,
	}
}

// collected is `gc --json`.
type collected struct {
	store.Collected
	Records []string `json:"records"` // ids of runs whose records were closed, as lost
}

func gcAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	s, err := openStoreAsItIs(c)
	if err != nil {
		return failing(c, err)
	}
	runs := record.Open(s.Dirs().Data)
	deserted, err := runs.Deserted() // before their leases go
	got, collectErr := s.Collect(c.Bool("dry-run"))
	err = errors.Join(err, collectErr)
	all := collected{Collected: got, Records: []string{}}
	for _, id := range deserted {
		if !got.DryRun {
			lost := record.MarkLost(runs.Dir(id))
			if lost != nil && !errors.Is(lost, record.ErrFinished) && !errors.Is(lost, record.ErrRunning) {
				err = errors.Join(err, lost)
				continue
			}
		}
		all.Records = append(all.Records, id)
	}
	err = errors.Join(err, closeRecords(got.Dead)) // of those that died meanwhile
	if c.Bool("json") {
		return failing(c, errors.Join(printer(c).JSON(all), err))
	}
	return failing(c, errors.Join(printCollected(printer(c), all), err))
}

func printCollected(p *ui.Printer, got collected) error {
	removed, closed, total := "Removed", "Closed", "Total reclaimed space"
	if got.DryRun {
		removed, closed, total = "Would remove", "Would close", "Total reclaimable space"
	}
	for _, list := range []struct {
		kind  string
		items []store.Item
	}{{"writable layer of dead run", got.Uppers}, {"leftover", got.Temps}, {"damaged layer", got.Retired}} {
		for _, item := range list.items {
			if err := p.Line("%s: %s %s (%s)", removed, list.kind, item.Name, ui.Size(item.Bytes)); err != nil {
				return err
			}
		}
	}
	for _, list := range []struct {
		did, kind string
		names     []string
	}{{removed, "control group", got.Cgroups}, {removed, "scope", got.Scopes}, {removed, "lock", got.Locks}, {closed, "record of lost run", got.Records}} {
		for _, name := range list.names {
			if err := p.Line("%s: %s %s", list.did, list.kind, name); err != nil {
				return err
			}
		}
	}
	return p.Line("%s: %s", total, ui.Size(got.Bytes))
}
