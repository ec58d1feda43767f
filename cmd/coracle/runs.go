package main

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/registry"
)

const runsDescription = `
The newest run comes first. A run is running, exited with a status, or lost: its
supervisor ended without a result, because it was killed or the host went down.

Filters compare fields of 'coracle runs show --json' by =, !=, <, >, <= or >=;
'*' in a text is any part of it. Sizes and times may be 512m, 90m, 2026-01-31;
since=24h are the runs of the last day, label=KEY and label=KEY=VALUE are
docker's. All of them must fit.

--job shows the runs of one job of a batch scheduler beside each other: ranks of
its steps or tasks of an array, which of them failed first, and which was
slowest. 42.0 is step 0 of job 42, 42_7 a task of the array 42.

Examples:
  coracle runs
  coracle runs --limit 20
  coracle runs show last
  coracle runs --filter label=team=vision --filter 'exit_code!=0'
  coracle runs --filter since=24h --sort -peaks.memory_bytes --limit 5
  coracle runs --format '{{.ID}} {{.Get "metrics.loss.last"}}'
  coracle runs --job $SLURM_JOB_ID
  coracle runs --json | jq -r '.[] | select(.exit_code != 0) | .id'
`

func runsCommand() *cli.Command {
	return &cli.Command{
		Name:        "runs",
		Usage:       "List, show and remove the records of runs",
		Description: runsDescription,
		Flags:       listFlags(),
		Action:      runsListAction,
		Subcommands: []*cli.Command{
			{
				Name:        "list",
				Aliases:     []string{"ls"},
				Usage:       "List runs, the newest first (also without 'list')",
				Description: runsDescription,
				Flags:       listFlags(),
				Action:      runsListAction,
			},
			runsShowCommand(),
			runsRmCommand(),
			runsPruneCommand(),
		},
	}
}

func listFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Usage: "List only the first `N` runs, the newest unless sorted otherwise"},
		&line.List{Name: "filter", Aliases: []string{"f"}, Usage: "List only `FILTER`: FIELD=VALUE, FIELD!=VALUE, FIELD<VALUE, ..., label=KEY[=VALUE], since=24h"},
		&cli.StringFlag{Name: "job", Usage: "List the runs of `JOBID` of a batch scheduler as its tasks, and what they come to"},
		&cli.StringFlag{Name: "sort", Usage: "Sort by `FIELD`, the least first, or with a minus before it the greatest"},
		&cli.StringFlag{Name: "format", Usage: "Print each run by `TEMPLATE`, such as '{{.ID}} {{.Get \"peaks.memory_bytes\"}}'"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Print only the ids"},
		&cli.BoolFlag{Name: "no-trunc", Usage: "Print whole ids and commands"},
		jsonFlag(),
	}
}

func runsListAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Int("limit") < 0 {
		return usagef(commandName(c), "--limit cannot be less than 0")
	}
	filters, err := runFilters(c)
	if err != nil {
		return err
	}
	text := c.String("format")
	format, err := runFormat(c, text)
	if err != nil {
		return err
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	selection := record.Selection{Filters: filters, Sort: c.String("sort"), Limit: c.Int("limit")}
	if c.IsSet("job") {
		return jobAction(c, runs, selection)
	}
	if c.Bool("json") || text == "json" {
		views, err := runs.Select(selection)
		if err != nil {
			return listFailing(c, err)
		}
		return printer(c).JSON(append([]record.View{}, views...))
	}
	list, err := listRuns(runs, selection, strings.Contains(text, ".Get"))
	if err != nil {
		return listFailing(c, err)
	}
	p, whole, now := printer(c), c.Bool("no-trunc"), time.Now()
	switch list = list.whole(whole); {
	case c.Bool("quiet"):
		return list.printIDs(p)
	case text != "" && text != "table":
		return formatRuns(p, format, list, now)
	default:
		return p.Table(runsTable(list, whole, now))
	}
}

// listRuns lists the runs that a selection asks for: in full where a brief view is not enough.
func listRuns(runs *record.Runs, s record.Selection, full bool) (listed, error) {
	if !full {
		list, err := runs.Brief(s)
		if err != nil {
			return nil, err
		}
		return listed(list.All()), nil
	}
	views, err := runs.Select(s)
	if err != nil {
		return nil, err
	}
	short, err := shortIDs(runs)
	return listedViews(views, short), err
}

// listFailing is failing, of a list.
func listFailing(c *cli.Context, err error) error {
	if errors.Is(err, record.ErrField) {
		return usagef(commandName(c), "--sort: %v", err)
	}
	return failing(c, err)
}

func runsTable(list listed, whole bool, now time.Time) ui.Table {
	t := ui.Table{Columns: []ui.Column{
		{Title: "RUN ID"}, {Title: "NAME", Cut: ui.Back}, {Title: "IMAGE", Cut: ui.Front}, {Title: "COMMAND", Cut: ui.Back},
		{Title: "STATE"}, {Title: "STARTED"}, {Title: "DURATION"},
	}}
	const most = 40 // characters of a command, unless asked for all
	for v, id := range list {
		command := commandLine(v.Argv)
		if !whole {
			command = ui.Shorten(command, most)
		}
		t.Rows = append(t.Rows, []string{
			id, v.Name, familiarImage(v.Image.Ref), command, stateText(v), ui.AgoShort(now, startOf(v)), durationText(v, now),
		})
	}
	return t
}

// familiarImages are references that have been read: thousands of runs are of few images.
var familiarImages sync.Map

// familiarImage is a reference as docker shows it.
func familiarImage(canonical string) string {
	if known, ok := familiarImages.Load(canonical); ok {
		if text, ok := known.(string); ok {
			return text
		}
	}
	text := readFamiliar(canonical)
	familiarImages.Store(canonical, text)
	return text
}

func readFamiliar(canonical string) string {
	ref, err := registry.ParseRef(canonical)
	if err != nil {
		return canonical
	}
	if ref.Digest() != "" {
		name, digest, _ := strings.Cut(ref.Familiar(), "@")
		return name + "@" + shortID(digest, false)
	}
	return ref.Familiar()
}

// startOf is when the job began, or the run where the job did not.
func startOf(v *record.View) time.Time {
	if v.Started != nil {
		return *v.Started
	}
	return v.Created
}

// stateText is the state in docker's words.
func stateText(v *record.View) string {
	switch {
	case v.State == record.Ended && v.ExitCode != nil:
		return string(v.State) + " (" + strconv.Itoa(*v.ExitCode) + ")"
	default:
		return v.Standing()
	}
}

// durationText is how long a run took or takes by now; for a lost one, until its last sign of life.
func durationText(v *record.View, now time.Time) string {
	switch {
	case v.State == record.Running:
		return ui.Duration(now.Sub(startOf(v)))
	case v.Wall != nil && *v.Wall > 0:
		return ui.Duration(time.Duration(*v.Wall * float64(time.Second)))
	case v.Finished != nil:
		return ui.Duration(v.Finished.Sub(startOf(v)))
	default:
		return ""
	}
}

// commandLine is a command as one would type it.
func commandLine(argv []string) string { return report.CommandLine(argv) }
