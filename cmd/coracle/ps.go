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
	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
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
	format, err := template.ParseRows[psRow]("ps", text, ".ID .Image .Command .CreatedAt .RunningFor .Ports .State .Status .Names .Labels, .Label \"KEY\"")
	if err != nil {
		return err
	}
	p, whole, now := printer(c), c.Bool("no-trunc"), time.Now()
	if c.Bool("json") || text == "json" {
		views, err := psViews(c, filters)
		if err != nil {
			return failing(c, err)
		}
		return p.JSON(append([]record.View{}, views...))
	}
	list, err := psList(c, filters)
	if err != nil {
		return failing(c, err)
	}
	switch list = list.whole(whole); {
	case c.Bool("quiet"):
		return list.printIDs(p)
	case text != "" && text != "table":
		var rows []psRow
		for v, id := range list {
			rows = append(rows, newPsRow(v, id, whole, now))
		}
		return format.Print(p, psRow{"RUN ID", "IMAGE", "COMMAND", "CREATED AT", "CREATED", "PORTS", "STATE", "STATUS", "NAMES", "LABELS", nil}, rows)
	default:
		return p.Table(psTable(list, whole, now))
	}
}

// psSelection is what is listed of all records; false: only runs that go on are.
func psSelection(c *cli.Context, filters []record.Filter) (record.Selection, bool) {
	s := record.Selection{Filters: filters, Limit: c.Int("last")}
	if c.Bool("latest") {
		s.Limit = 1
	}
	return s, c.Bool("all") || s.Limit > 0
}

// psList is what is listed.
func psList(c *cli.Context, filters []record.Filter) (listed, error) {
	s, err := openStore(c)
	if err != nil {
		return nil, err
	}
	runs := record.Open(s.Dirs().Data)
	if selection, all := psSelection(c, filters); all {
		list, err := runs.Brief(selection)
		if err != nil {
			return nil, err
		}
		return listed(list.All()), nil
	}
	views, err := going(s, runs, filters)
	if err != nil {
		return nil, err
	}
	short, err := shortIDs(runs)
	return listedViews(views, short), err
}

// psViews is what is listed, in full.
func psViews(c *cli.Context, filters []record.Filter) ([]record.View, error) {
	s, err := openStore(c)
	if err != nil {
		return nil, err
	}
	runs := record.Open(s.Dirs().Data)
	if selection, all := psSelection(c, filters); all {
		return runs.Select(selection)
	}
	return going(s, runs, filters)
}

// going are the runs that go on, the newest first. They are found by their leases: there may be thousands of others.
func going(s *store.Store, runs *record.Runs, filters []record.Filter) (list []record.View, err error) {
	leases, err := s.Leases()
	if err != nil {
		return nil, err
	}
	for _, l := range slices.Backward(leases) {
		v, err := runs.Get(filepath.Base(l.Run))
		if errors.Is(err, record.ErrNotFound) {
			continue // it has just begun, or its record has been taken away
		}
		if err != nil {
			return nil, err
		}
		if v.State == record.Running && !slices.ContainsFunc(filters, func(f record.Filter) bool { return !f.Fits(&v) }) {
			list = append(list, v)
		}
	}
	return list, nil
}

// psRow is what a --format template sees of a run: docker's fields. What a job, an image or a user has said is escaped.
type psRow struct {
	ID, Image, Command, CreatedAt, RunningFor, Ports, State, Status, Names, Labels string

	labels map[string]string
}

// Label is the value of a label, as docker's templates ask for it.
func (r psRow) Label(name string) string { return ui.Escape(r.labels[name]) }

func newPsRow(v *record.View, id string, whole bool, now time.Time) psRow {
	return psRow{
		ID: id, Image: ui.Escape(familiarImage(v.Image.Ref)), Command: ui.Escape(psCommandText(v, whole)), CreatedAt: v.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		RunningFor: ui.Ago(now, v.Created), Ports: portsText(v), State: v.Standing(), Status: statusText(v, now), Names: ui.Escape(v.Name), Labels: ui.Escape(labelsText(v.Labels)), labels: v.Labels,
	}
}

// psCommandText is the command, in quotes.
func psCommandText(v *record.View, whole bool) string {
	command := commandLine(v.Argv)
	if !whole {
		const most = 20 // as docker
		command = ui.Shorten(command, most)
	}
	return strconv.Quote(command)
}

// statusText is where a run stands, as docker puts it.
func statusText(v *record.View, now time.Time) string {
	switch {
	case v.Restarting != nil:
		return "Restarting (" + strconv.Itoa(v.Restarting.ExitCode) + ") " + ui.Ago(now, v.Restarting.Finished)
	case v.State == record.Running:
		up := "Up " + strings.TrimSuffix(ui.Ago(now, startOf(v)), " ago")
		if v.Paused {
			up += " (Paused)"
		}
		return up
	case v.State == record.Ended && v.ExitCode != nil && v.Finished != nil:
		return "Exited (" + strconv.Itoa(*v.ExitCode) + ") " + ui.Ago(now, *v.Finished)
	case v.Finished != nil:
		return capital(string(v.State)) + " " + ui.Ago(now, *v.Finished)
	}
	return capital(string(v.State))
}

func capital(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// portsText is the ports of a running job with a network of its own, as docker puts them.
func portsText(v *record.View) string {
	if v.Private == nil || v.State != record.Running {
		return ""
	}
	var texts []string
	for _, port := range v.Private.Ports {
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

func psTable(list listed, whole bool, now time.Time) ui.Table {
	t := ui.Table{Columns: []ui.Column{
		{Title: "RUN ID"}, {Title: "IMAGE", Cut: ui.Front}, {Title: "COMMAND", Cut: ui.Back}, {Title: "CREATED"}, {Title: "STATUS"}, {Title: "PORTS"}, {Title: "NAMES"},
	}}
	for v, id := range list {
		t.Rows = append(t.Rows, []string{
			id, familiarImage(v.Image.Ref), psCommandText(v, whole), ui.Ago(now, v.Created), statusText(v, now), portsText(v), v.Name,
		})
	}
	return t
}
