package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
)

const psDescription = `
It lists the runs of this host that go on, with docker's columns; with --all
those that have ended or go on elsewhere, too, of which 'coracle runs' knows
more. A run's container is gone when it ends; its record stays until 'coracle
runs rm' or 'coracle runs prune' takes it away.

Filters are those of 'coracle runs'.

Examples:
  coracle ps
  coracle ps --all --last 5
  coracle ps --format '{{.ID}} {{.Names}} {{.Status}}'
`

func psCommand() *cli.Command {
	return &cli.Command{
		Name:        "ps",
		Usage:       "List the runs that go on",
		Description: psDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "List those that have ended, too"},
			&cli.IntFlag{Name: "last", Aliases: []string{"n"}, Usage: "List the `N` newest, ended ones among them"},
			&cli.BoolFlag{Name: "latest", Aliases: []string{"l"}, Usage: "List the newest, whether it has ended or not"},
			&line.List{Name: "filter", Aliases: []string{"f"}, Usage: "List only `FILTER`, as 'coracle runs' has them"},
			&cli.StringFlag{Name: "format", Usage: "Print each run by `TEMPLATE`, such as '{{.ID}} {{.Status}}'"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Print only the ids"},
			&cli.BoolFlag{Name: "no-trunc", Usage: "Print whole ids and commands"},
			jsonFlag(),
		},
		Action: psAction,
	}
}

func psAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Int("last") < 0 {
		return usagef("ps", "--last cannot be less than 0")
	}
	filters, err := runFilters(c)
	if err != nil {
		return err
	}
	text := c.String("format")
	format, err := parseFormat[psRow]("ps", text, ".ID .Image .Command .CreatedAt .RunningFor .Ports .State .Status .Names .Labels")
	if err != nil {
		return err
	}
	list, short, err := psRuns(c, filters)
	if err != nil {
		return failing(c, err)
	}
	p, whole := printer(c), c.Bool("no-trunc")
	switch {
	case c.Bool("json"), text == "json":
		return p.JSON(append([]record.View{}, list...))
	case c.Bool("quiet"):
		return printRunIDs(p, list, short, whole)
	}
	rows := make([]psRow, len(list))
	for i, v := range list {
		rows[i] = newPsRow(v, short, whole, time.Now())
	}
	if text != "" && text != "table" {
		for i := range rows {
			rows[i] = rows[i].escaped()
		}
		return format.print(p, psRow{"RUN ID", "IMAGE", "COMMAND", "CREATED AT", "CREATED", "PORTS", "STATE", "STATUS", "NAMES", "LABELS"}, rows)
	}
	return p.Table(psTable(rows))
}

// psRuns finds the runs that are listed. Those that go on are found by their leases: there may be thousands of others.
func psRuns(c *cli.Context, filters []record.Filter) (list []record.View, short map[string]string, err error) {
	s, err := openStore(c)
	if err != nil {
		return nil, nil, err
	}
	runs := record.Open(s.Dirs().Data)
	most := c.Int("last")
	if c.Bool("latest") {
		most = 1
	}
	if short, err = shortIDs(runs); err != nil {
		return nil, nil, err
	}
	if c.Bool("all") || most > 0 {
		list, err = runs.Select(record.Selection{Filters: filters, Limit: most, Brief: !c.Bool("json") && c.String("format") != "json"})
		return list, short, err
	}
	leases, err := s.Leases()
	if err != nil {
		return nil, nil, err
	}
	for _, l := range slices.Backward(leases) { // the newest first
		v, err := runs.Get(filepath.Base(l.Run))
		if errors.Is(err, record.ErrNotFound) {
			continue // it has just begun, or its record has been taken away
		}
		if err != nil {
			return nil, nil, err
		}
		if v.State == record.Running && !slices.ContainsFunc(filters, func(f record.Filter) bool { return !f.Fits(v) }) {
			list = append(list, v)
		}
	}
	return list, short, nil
}

// psRow is what a --format template sees of a run: docker's fields.
type psRow struct {
	ID, Image, Command, CreatedAt, RunningFor, Ports, State, Status, Names, Labels string
}

func newPsRow(v record.View, short map[string]string, whole bool, now time.Time) psRow {
	command := commandLine(v.Argv)
	if !whole {
		const most = 20 // as docker
		command = ui.Shorten(command, most)
	}
	return psRow{
		ID: runID(v, short, whole), Image: familiarImage(v.Image.Ref), Command: strconv.Quote(command), CreatedAt: v.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		RunningFor: ui.Ago(now, v.Created), Ports: portsText(v.Private), State: v.Standing(), Status: statusText(v, now), Names: v.Name, Labels: labelsText(v.Labels),
	}
}

// escaped is a row for a template: what a job, an image or a user has said harms no terminal.
func (r psRow) escaped() psRow {
	r.Image, r.Command, r.Names, r.Labels = ui.Escape(r.Image), ui.Escape(r.Command), ui.Escape(r.Names), ui.Escape(r.Labels)
	return r
}

// statusText is where a run stands, as docker puts it.
func statusText(v record.View, now time.Time) string {
	switch {
	case v.State == record.Running:
		up := "Up " + strings.TrimSuffix(ui.Ago(now, startOf(v)), " ago")
		if v.Paused {
			up += " (Paused)"
		}
		return up
	case v.State == record.Ended && v.ExitCode != nil && v.Finished != nil:
		return fmt.Sprintf("Exited (%d) %s", *v.ExitCode, ui.Ago(now, *v.Finished))
	case v.Finished != nil:
		return fmt.Sprintf("%s %s", capital(string(v.State)), ui.Ago(now, *v.Finished))
	}
	return capital(string(v.State))
}

func capital(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// portsText is the ports of a run with a network of its own, as docker puts them.
func portsText(p *record.Private) string {
	if p == nil {
		return ""
	}
	var texts []string
	for _, port := range p.Ports {
		host := port.HostIP
		if host == "" {
			host = "0.0.0.0"
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		texts = append(texts, fmt.Sprintf("%s:%d->%d/%s", host, port.Host, port.Inside, port.Protocol))
	}
	return strings.Join(texts, ", ")
}

func psTable(rows []psRow) ui.Table {
	t := ui.Table{Columns: []ui.Column{
		{Title: "RUN ID"}, {Title: "IMAGE", Cut: ui.Front}, {Title: "COMMAND", Cut: ui.Back}, {Title: "CREATED"}, {Title: "STATUS"}, {Title: "PORTS"}, {Title: "NAMES"},
	}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{r.ID, r.Image, r.Command, r.RunningFor, r.Status, r.Ports, r.Names})
	}
	return t
}
