package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
)

// keepPrefix is the only value of --upper, with a name behind it.
const keepPrefix = "keep:"

func upperFlag() cli.Flag {
	return &cli.StringFlag{Name: "upper", Usage: "Keep what the job writes outside its volumes for the next run with the same `VALUE`: keep:NAME (default: it goes with the run)"}
}

// keptName reads it: the name of the writable layer that is kept, or "".
func keptName(c *cli.Context) (string, error) {
	text := c.String("upper")
	if !c.IsSet("upper") {
		return "", nil
	}
	name, ok := strings.CutPrefix(text, keepPrefix)
	if !ok || name == "" {
		return "", usagef(jobCommand, "--upper is keep:NAME, not %q", text)
	}
	if err := store.CheckKeptName(name); err != nil {
		return "", usagef(jobCommand, "--upper: %v", err)
	}
	return name, nil
}

const upperDescription = `
What a job writes outside its volumes is in the writable layer of its run, and
goes with it. 'coracle run --upper keep:NAME' keeps it instead: a later run that
says the same goes on with the files as they were left. One run at a time has
it. It belongs to the image, by its digest, and the --userns of the run that has
made it: it says only what is different from that image. It stays until
'coracle upper rm' or 'coracle prune --uppers'.

It lies beside the image layers, on this host alone. For data, use a volume.

Examples:
  coracle run --upper keep:dev -it IMAGE bash
  coracle upper ls
  coracle upper rm dev
`

func upperCommand() *cli.Command {
	return &cli.Command{
		Name:        "upper",
		Usage:       "List and remove writable layers that are kept",
		Description: upperDescription,
		Flags:       upperListFlags(),
		Action:      upperListAction,
		Subcommands: []*cli.Command{upperListCommand(), upperRemoveCommand()},
	}
}

const upperListDescription = `
RUN is the one that has it now. 'coracle df -v' tells what they take.

Examples:
  coracle upper ls
  coracle upper ls --format '{{.Name}} {{.Run}}'
  coracle upper ls --json | jq -r '.[].digest'
`

func upperListCommand() *cli.Command {
	return &cli.Command{
		Name:        "ls",
		Aliases:     []string{"list"},
		Usage:       "List kept writable layers (also without 'ls')",
		Description: upperListDescription,
		Flags:       upperListFlags(),
		Action:      upperListAction,
	}
}

func upperListFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Print only the names"},
		&cli.StringFlag{Name: "format", Usage: "Print each by `TEMPLATE`, such as '{{.Name}} {{.Image}}'"},
		jsonFlag(),
	}
}

// upperRow is what a --format template sees of a kept writable layer.
type upperRow struct{ Name, Image, Digest, Platform, UserNS, Way, CreatedAt, Run, Directory string }

func upperListAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	text := c.String("format")
	format, err := template.ParseRows[upperRow]("upper ls", text, ".Name .Image .Digest .Platform .UserNS .Way .CreatedAt .Run .Directory")
	if err != nil {
		return err
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	list, err := s.KeptLayers()
	p := printer(c)
	switch {
	case c.Bool("json"), text == "json":
		return failing(c, errors.Join(p.JSON(append([]store.Kept{}, list...)), err))
	case c.Bool("quiet"):
		for _, k := range list {
			err = errors.Join(err, p.Line("%s", k.Name))
		}
		return failing(c, err)
	case text != "" && text != "table":
		rows := make([]upperRow, len(list))
		for i, k := range list {
			rows[i] = upperRow{
				k.Name, ui.Escape(familiarImage(k.Image)), k.Digest.String(), k.Platform, k.UserNS, k.Way,
				k.Created.Format("2006-01-02 15:04:05 -0700 MST"), ui.Escape(holderText(k)), ui.Escape(k.Dir),
			}
		}
		header := upperRow{"NAME", "IMAGE", "DIGEST", "PLATFORM", "USERNS", "WAY", "CREATED AT", "RUN", "DIRECTORY"}
		return failing(c, errors.Join(format.Print(p, header, rows), err))
	}
	t := ui.Table{Columns: []ui.Column{{Title: "NAME", Cut: ui.Back}, {Title: "IMAGE", Cut: ui.Front}, {Title: "USERNS"}, {Title: "CREATED"}, {Title: "RUN", Cut: ui.Back}}}
	for _, k := range list {
		t.Rows = append(t.Rows, []string{k.Name, familiarImage(k.Image), k.UserNS, ui.Ago(time.Now(), k.Created), holderText(k)})
	}
	return failing(c, errors.Join(p.Table(t), err))
}

// holderText names the run that has a layer; "" for none.
func holderText(k store.Kept) string {
	switch {
	case k.Holder == nil:
		return ""
	case k.Holder.Name != "":
		return k.Holder.Name
	}
	return filepath.Base(k.Holder.Run)
}

const upperRemoveDescription = `
The files go for good. One that a run has stays.

Examples:
  coracle upper rm dev

Exit codes:
  0      all are removed
  125    at least one is not: none of this name, or a run has it
`

func upperRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:        "rm",
		Aliases:     []string{"remove"},
		Usage:       "Remove kept writable layers with their files",
		ArgsUsage:   "NAME [NAME...]",
		Description: upperRemoveDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Say nothing of those that are not there"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the name of a kept writable layer", 0); err != nil {
				return err
			}
			s, err := openStore(c)
			if err != nil {
				return failing(c, err)
			}
			return failing(c, removeNamed(c, s.RemoveKept, store.ErrNotKept))
		},
	}
}

func keptUsageRow(u store.Usage) []string {
	var all, idle store.Amount
	active := 0
	for _, k := range u.Kept {
		all.Add(k.Amount)
		if k.Holder == nil {
			idle.Add(k.Amount)
		} else {
			active++
		}
	}
	return usageRow("Kept writable layers", len(u.Kept), active, amountText(all), idle.Bytes, all.Bytes)
}

func keptUsageTable(u store.Usage) ui.Table {
	t := ui.Table{Columns: []ui.Column{{Title: "KEPT WRITABLE LAYER", Cut: ui.Back}, {Title: "IMAGE", Cut: ui.Front}, {Title: "FILES"}, {Title: "SIZE"}, {Title: "RUN", Cut: ui.Back}}}
	for _, k := range u.Kept {
		t.Rows = append(t.Rows, []string{k.Name, familiarImage(k.Image), fmt.Sprint(k.Entries), amountText(k.Amount), holderText(k.Kept)})
	}
	return t
}
