package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
)

const diffDescription = `
Fields have the names of 'coracle runs show --json'; what merely follows from
another difference is left out. Layers of an image are counted from the lowest.
The configurations of two images are compared as far as they are still stored.
Metrics that a job said last are listed where they differ, what the runs used
always: it is never the same twice.

A run is named by its id, which may be shortened, by its name, or by 'last'.

Examples:
  coracle diff baseline lr3
  coracle diff 01KAH9V2QX last --json | jq -r '.differences[].field'

Exit codes:
  0      they were compared
  1      with --exit-code: something differs, but for what they used
  125    Coracle failed: no such run, a damaged record, ...
`

func diffCommand() *cli.Command {
	return &cli.Command{
		Name:        "diff",
		Usage:       "Show what differs between two runs",
		ArgsUsage:   "RUN OTHER",
		Description: diffDescription,
		Flags: []cli.Flag{
			jsonFlag(),
			&cli.BoolFlag{Name: "exit-code", Usage: "End with status 1 when something differs"},
		},
		Action: diffAction,
	}
}

// differError is the status of two runs that differ.
type differError struct{}

func (differError) Error() string { return "the runs differ" }

// ExitCode is that of diff(1).
func (differError) ExitCode() int { return 1 }

// Silent is true: what differs has been printed.
func (differError) Silent() bool { return true }

func diffAction(c *cli.Context) error {
	if err := needArguments(c, "the id or name of a run", 2); err != nil {
		return err
	}
	if c.NArg() < 2 {
		return usagef("diff", "a second run is missing")
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	var views [2]record.View
	for i, asked := range c.Args().Slice() {
		if views[i], err = record.Open(s.Dirs().Data).Get(asked); err != nil {
			return failing(c, err)
		}
	}
	d, err := report.Compare(views[0], views[1], configsOf(s, views))
	if err != nil {
		return failing(c, err)
	}
	if c.Bool("json") {
		err = printer(c).JSON(d)
	} else {
		err = printDiff(printer(c), d, views, time.Now())
	}
	if err == nil && c.Bool("exit-code") && len(d.Differences)+len(d.Metrics) > 0 {
		return differError{}
	}
	return failing(c, err)
}

// configsOf are the configurations of the runs' images, nil where one is not stored any more.
func configsOf(s *store.Store, views [2]record.View) (configs [2][]byte) {
	for i, v := range views {
		if image, err := s.Image(v.Image.Digest); err == nil {
			configs[i] = image.RawConfig
		}
	}
	return configs
}

func printDiff(p *ui.Printer, d report.Diff, views [2]record.View, now time.Time) error {
	heads := ui.Table{Columns: []ui.Column{{Title: ""}, {Title: "RUN"}, {Title: "STATE"}, {Title: "STARTED"}, {Title: "COMMAND", Cut: ui.Back}}}
	for i, letter := range []string{"A", "B"} {
		v := views[i]
		heads.Rows = append(heads.Rows, []string{letter, line.Join(v.ID, v.Name), stateText(&v), ui.AgoShort(now, startOf(&v)), commandLine(v.Argv)})
	}
	if err := p.Table(heads); err != nil {
		return err
	}
	if len(d.Differences)+len(d.Metrics) == 0 {
		if err := p.Line("\nNothing differs in what ran, on what, and how it ended."); err != nil {
			return err
		}
	}
	fields := ui.Table{Columns: []ui.Column{{Title: "FIELD"}, {Title: "A", Cut: ui.Back}, {Title: "B", Cut: ui.Back}}}
	for _, f := range d.Differences {
		fields.Rows = append(fields.Rows, []string{f.Field, fieldText(f.Field, f.A), fieldText(f.Field, f.B)})
	}
	for _, t := range []ui.Table{fields, deltaTable("METRIC", d.Metrics), deltaTable("USED", d.Used)} {
		if len(t.Rows) == 0 {
			continue
		}
		if err := cmp.Or(p.Line(""), p.Table(t)); err != nil {
			return err
		}
	}
	if len(d.Unknown) > 0 {
		return p.Line("\nNot compared, for their values are not on record: %s", strings.Join(d.Unknown, ", "))
	}
	return nil
}

func deltaTable(title string, list []report.Delta) ui.Table {
	t := ui.Table{Columns: []ui.Column{{Title: title}, {Title: "A"}, {Title: "B"}, {Title: "B-A"}, {Title: ""}}}
	for _, d := range list {
		delta := deltaText(d.Name, d.Delta)
		if d.Delta != nil && *d.Delta > 0 {
			delta = "+" + delta
		}
		t.Rows = append(t.Rows, []string{d.Name, deltaText(d.Name, d.A), deltaText(d.Name, d.B), delta, d.Percent()})
	}
	return t
}

// deltaText is a number in the unit that its name says.
func deltaText(name string, n *record.Number) string {
	switch {
	case n == nil:
		return "-"
	case strings.HasSuffix(name, "_bytes") && n.Finite() && (strings.HasPrefix(name, "totals.") || strings.HasPrefix(name, "peaks.") || strings.HasPrefix(name, "gpu_use.")):
		if *n < 0 {
			return "-" + bytesText(name, int64(-*n))
		}
		return bytesText(name, int64(*n))
	}
	if strings.HasSuffix(name, "_joules") && n.Finite() && *n >= 0 {
		return report.Energy(float64(*n))
	}
	if strings.HasSuffix(name, "_seconds") && n.Finite() {
		return strconv.FormatFloat(math.Round(float64(*n)*1000)/1000, 'f', -1, 64) + "s"
	}
	return strconv.FormatFloat(float64(*n), 'g', 6, 64)
}

// bytesText is a size in the unit for memory or for data.
func bytesText(name string, bytes int64) string {
	if strings.HasPrefix(name, "peaks.") || strings.HasPrefix(name, "gpu_use.") {
		return ui.Memory(bytes)
	}
	return ui.Size(bytes)
}

// fieldText is a value of a record as one reads it.
func fieldText(field string, v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		if bytes, err := strconv.ParseInt(v, 10, 64); err == nil && bytes >= 1<<10 && (field == "limits.memory" || field == "limits.memory-swap") {
			return ui.Memory(bytes)
		}
		return v
	case float64:
		if strings.HasSuffix(field, "_bytes") {
			return ui.Memory(int64(v))
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
