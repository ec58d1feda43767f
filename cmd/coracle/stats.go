package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

const statsDescription = `
Without a name, all runs that are going on are listed. The numbers are those of
the job in the last second, as its supervisor measures them; of a run on another
host they may be older. CPU is 100% for each that was busy, and I/O what was
read and written since the start, by system calls. What is not known, or not
yet, is shown as --. Of several GPUs, GPU % is the mean, and memory and power
are sums; --json has each.

On a terminal the table is renewed every second until all runs have ended, or
until Ctrl-C; elsewhere it is printed once, after a second of measuring.

Examples:
  coracle stats
  coracle stats --no-stream
  coracle stats resnet --json | jq .memory_bytes
`

func statsCommand() *cli.Command {
	return &cli.Command{
		Name:        "stats",
		Usage:       "Show what running jobs use",
		ArgsUsage:   "[RUN...]",
		Description: statsDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-stream", Usage: "Print once"},
			&cli.BoolFlag{Name: "no-trunc", Usage: "Print whole ids"},
			&cli.StringFlag{Name: "format", Usage: "Print each run by `TEMPLATE`, such as '{{.Name}} {{.MemUsage}}'"},
			&cli.BoolFlag{Name: "json", Usage: "Print JSON, once"},
		},
		Action: statsAction,
	}
}

// stat is what a job uses now. What is not known is absent.
type stat struct {
	ID          string             `json:"id"`
	Name        string             `json:"name,omitempty"`
	Paused      bool               `json:"paused,omitempty"`
	Time        time.Time          `json:"time"`
	Seconds     float64            `json:"seconds"` // since its start
	CPUCores    *float64           `json:"cpu_cores,omitempty"`
	Memory      *float64           `json:"memory_bytes,omitempty"`
	MemoryLimit int64              `json:"memory_limit_bytes,omitempty"` // the run's own, or the machine's memory
	Read        *float64           `json:"file_read_bytes,omitempty"`
	Written     *float64           `json:"file_write_bytes,omitempty"`
	Received    *float64           `json:"received_bytes,omitempty"`
	Sent        *float64           `json:"sent_bytes,omitempty"`
	Processes   *float64           `json:"processes,omitempty"`
	GPUs        []statGPU          `json:"gpus,omitempty"`
	Metrics     map[string]float64 `json:"metrics,omitempty"` // the last finite value of each

	host string
}

// standing is the name of a run, and that its job is paused.
func (s stat) standing() string {
	if s.Paused {
		return strings.TrimSpace(s.Name + " (paused)")
	}
	return s.Name
}

func statsAction(c *cli.Context) error {
	if _, err := statsFormat(c); err != nil {
		return err
	}
	runs, err := openRuns(c)
	if err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	p := printer(c)
	live := p.IsTerminal() && !c.Bool("no-stream") && !c.Bool("json")
	if err := watchStats(ctx, c, runs, live); err != nil {
		return failing(c, err)
	}
	return interrupted(ctx)
}

// statsInterval is how often a table on a terminal is renewed.
const statsInterval = time.Second

// watchStats prints the table once, or again and again as long as something runs.
func watchStats(ctx context.Context, c *cli.Context, runs *record.Runs, live bool) error {
	p, drawn := printer(c), 0
	for first := true; ; first = false {
		list, short, err := readStats(runs, c.Args().Slice(), first)
		if err == nil && first && !live && slices.ContainsFunc(list, isHere) { // they have been asked to measure just now
			if !pause(ctx, statsInterval*5/4) {
				return nil
			}
			list, short, err = readStats(runs, c.Args().Slice(), false)
		}
		if err != nil {
			return err
		}
		if c.Bool("json") || c.String("format") == "json" {
			return p.JSON(list)
		}
		if c.Bool("no-trunc") {
			short = nil
		}
		if text := c.String("format"); text != "" && text != "table" {
			if err := formatStats(c, list, short); err != nil || !live {
				return err
			}
			if len(list) == 0 || !pause(ctx, statsInterval) {
				return nil
			}
			continue
		}
		if drawn, err = p.Redraw(drawn, statsTable(list, short)); err != nil || !live || len(list) == 0 {
			return err
		}
		if !pause(ctx, statsInterval) {
			return nil
		}
	}
}

// isHere reports whether a run is supervised on this host.
func isHere(s stat) bool {
	self, err := host.Self()
	return err == nil && s.host == self.Host
}

// pause waits, unless it is interrupted.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// readStats reads what running jobs use: all, or some. One that is asked for must be running at first.
func readStats(runs *record.Runs, asked []string, first bool) (list []stat, short map[string]string, err error) {
	list = []stat{}
	find := runs.Get
	if first {
		find = runningOf(runs)
	}
	views, err := named(asked, find)
	if err != nil {
		return nil, nil, err
	}
	if len(asked) == 0 {
		if views, err = runningViews(runs); err != nil {
			return nil, nil, err
		}
	}
	for _, v := range views {
		if v.State != record.Running {
			continue
		}
		_ = v.Watch() // a record that cannot be written to has older numbers
		s, err := readStat(v)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, s)
	}
	short, err = shortIDs(runs)
	return list, short, err
}

// runningViews are the runs that go on, here or elsewhere.
func runningViews(runs *record.Runs) (views []record.View, err error) {
	list, err := runs.Brief(record.Selection{})
	if err != nil {
		return nil, err
	}
	for brief := range list.All() {
		if brief.State != record.Running {
			continue
		}
		v, err := runs.Get(brief.ID)
		if errors.Is(err, record.ErrNotFound) {
			continue // it has just been taken away
		}
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

func readStat(v record.View) (stat, error) {
	r, err := report.Read(v, textPoints, 0)
	if err != nil {
		return stat{}, err
	}
	now := time.Now().UTC()
	s := stat{ID: v.ID, Name: v.Name, Paused: v.Paused, Time: now, host: v.Supervisor.Host, Seconds: r.Seconds(now), GPUs: statGPUs(r.GPUs), MemoryLimit: cmp.Or(v.Limits.MemoryBytes, v.Host.MemoryBytes)}
	for name, field := range map[string]**float64{
		"cpu_cores": &s.CPUCores, "memory_bytes": &s.Memory, "file_read_bytes": &s.Read, "file_write_bytes": &s.Written,
		"received_bytes": &s.Received, "sent_bytes": &s.Sent, "processes": &s.Processes,
	} {
		if n, ok := r.Now[name]; ok {
			*field = &n
		}
	}
	for _, t := range r.Training {
		if n := len(t.Points); n > 0 {
			if s.Metrics == nil {
				s.Metrics = map[string]float64{}
			}
			s.Metrics[t.Name] = t.Last
		}
	}
	return s, nil
}

// statsTable has docker's columns.
func statsTable(list []stat, short map[string]string) ui.Table {
	t := ui.Table{Columns: []ui.Column{
		{Title: "RUN ID"}, {Title: "NAME", Cut: ui.Back}, {Title: "CPU %"}, {Title: "MEM USAGE / LIMIT"}, {Title: "MEM %"},
		{Title: "NET I/O"}, {Title: "FILE I/O"}, {Title: "PIDS"}, {Title: "TIME"},
	}}
	for _, s := range list {
		t.Rows = append(t.Rows, []string{
			cmp.Or(short[s.ID], s.ID), s.standing(), percent(s.CPUCores, 1), usedOf(s.Memory, s.MemoryLimit), percent(s.Memory, float64(s.MemoryLimit)),
			pair(s.Received, s.Sent), pair(s.Read, s.Written), wholeText(s.Processes), ui.Duration(time.Duration(s.Seconds * 1e9)),
		})
	}
	gpuColumns(&t, list)
	return t
}

const unknown = "--" // as docker has it

func percent(v *float64, of float64) string {
	if v == nil || of <= 0 {
		return unknown
	}
	return fmt.Sprintf("%.2f%%", 100**v/of)
}

func usedOf(v *float64, limit int64) string {
	if v == nil {
		return unknown
	}
	return ui.Memory(int64(*v)) + " / " + ui.Memory(limit)
}

func pair(a, b *float64) string {
	if a == nil || b == nil {
		return unknown
	}
	return ui.Size(int64(*a)) + " / " + ui.Size(int64(*b))
}

func wholeText(v *float64) string {
	if v == nil {
		return unknown
	}
	return fmt.Sprintf("%.0f", *v)
}
