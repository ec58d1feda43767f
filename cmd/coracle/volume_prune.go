package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/internal/volume"
)

const volumePruneDescription = `
Removes the volumes whose names are random ones, and with --all all others too,
that no run uses. It asks first, and takes only "y" for a yes. In a script say
--force: without it and without an answer on standard input nothing is removed,
with status 125.

Examples:
  coracle volume prune
  coracle volume prune --all --filter label=project=ocr
  coracle volume prune --all --dry-run

Exit codes:
  0      all of it is removed, or there was nothing to remove
  125    not confirmed, or something could not be removed
`

func volumePruneCommand() *cli.Command {
	return &cli.Command{
		Name:        "prune",
		Usage:       "Remove volumes that no run uses",
		Description: volumePruneDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "Remove those with names of your choice too"},
			&line.List{Name: "filter", Usage: "Remove only `FILTER`: label=KEY[=VALUE], label!=... or name=PART"},
			&cli.BoolFlag{Name: "dry-run", Usage: "Say what would be removed, and remove nothing"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Do not ask"},
			jsonFlag(),
		},
		Action: volumePruneAction,
	}
}

// prunedVolumes is `volume prune --json`.
type prunedVolumes struct {
	DryRun  bool           `json:"dry_run"`
	Volumes []prunedVolume `json:"volumes"`
	Bytes   int64          `json:"bytes"` // of file content in them
}

type prunedVolume struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

func volumePruneAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	filter, err := parseVolumeFilter(commandName(c), line.Values(c, "filter"))
	if err != nil {
		return err
	}
	if !c.Bool("force") && !c.Bool("dry-run") {
		what := "volumes without a name of your choice"
		if c.Bool("all") {
			what = "volumes"
		}
		yes, err := printer(c).Ask(c.App.Reader, "This removes all %s that no run uses, with their files. Go on? [y/N] ", what)
		if err == nil && !yes {
			err = notConfirmedError{}
		}
		if err != nil {
			return failing(c, err)
		}
	}
	volumes, err := openVolumes(c)
	if err != nil {
		return failing(c, err)
	}
	pruned, err := pruneVolumes(c.Context, volumes, volume.PruneOptions{All: c.Bool("all"), DryRun: c.Bool("dry-run"), Fits: filter.fits})
	if c.Bool("json") {
		return failing(c, errors.Join(printer(c).JSON(pruned), err))
	}
	return failing(c, errors.Join(printPrunedVolumes(printer(c), pruned), err))
}

func pruneVolumes(ctx context.Context, volumes *volume.Store, o volume.PruneOptions) (prunedVolumes, error) {
	removed, err := volumes.Prune(ctx, o)
	pruned := prunedVolumes{DryRun: o.DryRun, Volumes: []prunedVolume{}}
	for _, v := range removed {
		pruned.Volumes = append(pruned.Volumes, prunedVolume{Name: v.Name, Bytes: v.Bytes})
		pruned.Bytes += v.Bytes
	}
	return pruned, err
}

func printPrunedVolumes(p *ui.Printer, pruned prunedVolumes) error {
	deleted, total := "Deleted", "Total reclaimed space"
	if pruned.DryRun {
		deleted, total = "Would delete", "Total reclaimable space"
	}
	if err := printVolumes(p, deleted, pruned); err != nil {
		return err
	}
	return p.Line("%s: %s", total, ui.Size(pruned.Bytes))
}

func printVolumes(p *ui.Printer, deleted string, pruned prunedVolumes) error {
	for _, v := range pruned.Volumes {
		if err := p.Line("%s: volume %s (%s)", deleted, v.Name, ui.Size(v.Bytes)); err != nil {
			return err
		}
	}
	return nil
}
