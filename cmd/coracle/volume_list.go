package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/internal/volume"
)

const volumeListDescription = `
RUNS are those that use the volume now.

Examples:
  coracle volume ls
  coracle volume ls -q --filter dangling=true
  coracle volume ls --filter label=project=ocr
  coracle volume ls --format '{{.Name}} {{.Mountpoint}}'
  coracle volume ls --json | jq -r '.[].path'
`

func volumeListCommand() *cli.Command {
	return &cli.Command{
		Name:        "ls",
		Aliases:     []string{"list"},
		Usage:       "List volumes (also without 'ls')",
		Description: volumeListDescription,
		Flags:       volumeListFlags(),
		Action:      volumeListAction,
	}
}

func volumeListFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Print only the names"},
		&line.List{Name: "filter", Aliases: []string{"f"}, Usage: "List only `FILTER`: dangling=true|false, label=KEY[=VALUE], label!=... or name=PART"},
		&cli.StringFlag{Name: "format", Usage: "Print each volume by `TEMPLATE`, with docker's fields"},
		jsonFlag(),
	}
}

// volumeSummary is a volume in `volume ls --json`.
type volumeSummary struct {
	Name      string            `json:"name"`
	Path      string            `json:"path"`
	Created   time.Time         `json:"created"`
	Labels    map[string]string `json:"labels"`
	Anonymous bool              `json:"anonymous"` // its name is a random one
	Runs      []string          `json:"runs"`      // that use it now, by id
}

func summarize(v volume.Usage) volumeSummary {
	s := volumeSummary{Name: v.Name, Path: v.Path, Created: v.Created, Labels: map[string]string{}, Anonymous: v.Anonymous, Runs: []string{}}
	maps.Copy(s.Labels, v.Labels)
	for _, u := range v.Users {
		s.Runs = append(s.Runs, u.ID)
	}
	return s
}

// volumeRow is what a --format template sees of a volume: docker's fields.
type volumeRow struct {
	Name, Driver, Scope, Mountpoint, Labels, Links, CreatedAt string
}

func volumeFormat(text string) (template.Rows[volumeRow], error) {
	return template.ParseRows[volumeRow]("volume ls", text, ".Name .Driver .Scope .Mountpoint .Labels .Links .CreatedAt")
}

func volumeListAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	filter, err := parseVolumeFilter(commandName(c), line.Values(c, "filter"))
	if err != nil {
		return err
	}
	format := c.String("format")
	if _, err := volumeFormat(format); err != nil {
		return err
	}
	volumes, err := openVolumes(c)
	if err != nil {
		return failing(c, err)
	}
	list, err := listVolumes(volumes, filter)
	if err != nil {
		return failing(c, err)
	}
	p := printer(c)
	switch {
	case c.Bool("json"), format == "json":
		return p.JSON(list)
	case c.Bool("quiet"):
		for _, v := range list {
			if err := p.Line("%s", v.Name); err != nil {
				return err
			}
		}
		return nil
	case format != "" && format != "table":
		return formatVolumes(p, list, format)
	}
	t := ui.Table{Columns: []ui.Column{{Title: "DRIVER"}, {Title: "VOLUME NAME", Cut: ui.Back}, {Title: "CREATED"}, {Title: "RUNS", Cut: ui.Back}}}
	for _, v := range list {
		t.Rows = append(t.Rows, []string{driver, v.Name, ui.Ago(time.Now(), v.Created), strings.Join(v.Runs, ", ")})
	}
	return p.Table(t)
}

func listVolumes(volumes *volume.Store, filter volumeFilter) ([]volumeSummary, error) {
	all, err := volumes.List()
	if err != nil {
		return nil, err
	}
	list := []volumeSummary{}
	for _, v := range all {
		users, err := volumes.Users(v.Name)
		if err != nil {
			return nil, err
		}
		if filter.fits(v) && (filter.dangling == nil || *filter.dangling == (len(users) == 0)) {
			list = append(list, summarize(volume.Usage{Volume: v, Users: users}))
		}
	}
	return list, nil
}

func formatVolumes(p *ui.Printer, list []volumeSummary, format string) error {
	f, err := volumeFormat(format)
	if err != nil {
		return err
	}
	var rows []volumeRow
	for _, v := range list {
		var labels []string
		for _, key := range slices.Sorted(maps.Keys(v.Labels)) {
			labels = append(labels, key+"="+v.Labels[key])
		}
		rows = append(rows, volumeRow{
			Name: v.Name, Driver: driver, Scope: driver, Mountpoint: ui.Escape(v.Path), Labels: ui.Escape(strings.Join(labels, ",")),
			Links: fmt.Sprint(len(v.Runs)), CreatedAt: v.Created.Format("2006-01-02 15:04:05 -0700 MST"),
		})
	}
	return f.Print(p, volumeRow{"VOLUME NAME", "DRIVER", "SCOPE", "MOUNTPOINT", "LABELS", "LINKS", "CREATED AT"}, rows)
}

// volumeFilter says which volumes are meant. Filters of one key must all fit, as docker's for labels; names are alternatives.
type volumeFilter struct {
	dangling       *bool
	names          []string
	labels, absent []string // KEY or KEY=VALUE
}

func parseVolumeFilter(command string, filters []string) (f volumeFilter, err error) {
	for _, text := range filters {
		key, value, ok := strings.Cut(text, "=")
		switch {
		case ok && key == "dangling" && slices.Contains([]string{"true", "false", "1", "0"}, value):
			yes := value == "true" || value == "1"
			f.dangling = &yes
		case ok && key == "name" && value != "":
			f.names = append(f.names, value)
		case ok && key == "label" && value != "":
			f.labels = append(f.labels, value)
		case ok && key == "label!" && value != "":
			f.absent = append(f.absent, value)
		case ok && key == "driver" && value == driver:
		default:
			return f, &line.UsageError{
				Command: command, Problem: fmt.Sprintf("no filter %q", text),
				Advice: "the filters are dangling=true, dangling=false, name=PART, label=KEY[=VALUE] and label!=KEY[=VALUE]",
			}
		}
	}
	return f, nil
}

// fits looks at everything but the volume's use.
func (f volumeFilter) fits(v volume.Volume) bool {
	has := func(label string) bool {
		key, value, valued := strings.Cut(label, "=")
		got, ok := v.Labels[key]
		return ok && (!valued || got == value)
	}
	lacks := func(label string) bool { return !has(label) }
	named := func(part string) bool { return strings.Contains(v.Name, part) }
	return (f.names == nil || slices.ContainsFunc(f.names, named)) && !slices.ContainsFunc(f.labels, lacks) && !slices.ContainsFunc(f.absent, has)
}

const volumeInspectDescription = `
The output is an array with one object for each name, with the field names of
'docker volume inspect'. Mountpoint is the directory on this host.

Examples:
  coracle volume inspect checkpoints
  ls $(coracle volume inspect checkpoints | jq -r '.[0].Mountpoint')

Exit codes:
  0      all were found
  125    at least one was not; the others are printed
`

func volumeInspectCommand() *cli.Command {
	return &cli.Command{
		Name:        "inspect",
		Usage:       "Print all details of volumes as JSON",
		ArgsUsage:   "NAME [NAME...]",
		Description: volumeInspectDescription,
		Flags:       []cli.Flag{objectFormatFlag(), &cli.BoolFlag{Name: "json", Usage: "Print JSON: as without this flag"}},
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the name of a volume", 0); err != nil {
				return err
			}
			volumes, err := openVolumes(c)
			if err != nil {
				return failing(c, err)
			}
			return printEach(c, func(name string) (volumeDetails, error) { return inspectVolume(volumes, name) })
		},
	}
}

// volumeDetails is a volume with docker's field names. Fields that docker does not have are at the end.
type volumeDetails struct {
	CreatedAt  time.Time
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string

	Anonymous bool
	Runs      []volume.User
}

func inspectVolume(volumes *volume.Store, name string) (volumeDetails, error) {
	v, err := volumes.Get(name)
	if err != nil {
		return volumeDetails{}, err
	}
	users, err := volumes.Users(name)
	if err != nil {
		return volumeDetails{}, err
	}
	s := summarize(volume.Usage{Volume: v})
	return volumeDetails{
		CreatedAt: v.Created, Driver: driver, Labels: s.Labels, Mountpoint: v.Path, Name: v.Name, Scope: driver,
		Anonymous: v.Anonymous, Runs: append([]volume.User{}, users...),
	}, nil
}
