package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/runtime/spec"
)

const showDescription = `
A run is named by its id, which may be shortened, by its name, or by 'last', the
newest one. The record itself is a directory of plain files; the page ends with
its path.

Examples:
  coracle runs show last
  coracle runs show 01KAH9V2QX --json
  coracle runs show resnet --json | jq .peaks.memory_bytes
`

func runsShowCommand() *cli.Command {
	return &cli.Command{
		Name:        "show",
		Usage:       "Show what ran, how it ended and what it used",
		ArgsUsage:   "ID|NAME|last",
		Description: showDescription,
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the id or name of a run", 1); err != nil {
				return err
			}
			runs, err := openRuns(c)
			if err != nil {
				return failing(c, err)
			}
			v, err := runs.Get(c.Args().First())
			if err != nil {
				return failing(c, err)
			}
			if c.Bool("json") {
				return printer(c).JSON(v)
			}
			return printer(c).Fields(runPage(v, time.Now()))
		},
	}
}

// runPage is a run as a page of facts.
func runPage(v record.View, now time.Time) [][2]string {
	page := [][2]string{
		{"Run", line.Join(v.ID, v.Name)},
		{"Project", v.Project},
		{"Labels", labelsText(v.Labels)},
		{"State", stateText(&v)},
		{"Why", v.Message},
		{"Advice", v.Advice},
		{"Image", line.Join(v.Image.Ref, imageDigest(v.Image))},
		{"Command", commandLine(v.Argv)},
		{"Directory", v.Cwd},
		{"User", v.User},
		{"Security", securityText(v.Security)},
		{"Limits", limitsText(v.Limits)},
		{"Network", networkText(v.Run)},
		{"MPI", mpiText(v.MPI)},
		{"Restart", restartText(v)},
		{"Upper", v.Upper},
		{"Started", timeText(startOf(&v), now)},
	}
	if v.Finished != nil {
		page = append(page, [2]string{"Finished", timeText(*v.Finished, now)})
	}
	page = append(page, [2]string{"Duration", durationText(&v, now)}, [2]string{"Used", usageText(v)}, [2]string{"Host", hostText(v.Host)})
	page = append(page, gpuShowRows(v)...)
	page = append(page, metricRows(v)...)
	for _, m := range v.Mounts {
		page = append(page, [2]string{"Volume", mountText(m)})
	}
	for _, s := range v.Secrets {
		page = append(page, [2]string{"Secret", secretText(s)})
	}
	for _, n := range v.Notes {
		page = append(page, [2]string{"Note", n.Text + " (" + ui.Ago(now, n.Time) + ")"})
	}
	page = append(page, [2]string{"Redacted", strings.Join(v.Redact, ", ")}, [2]string{"Output", outputText(v)}, [2]string{"Record", v.Dir})
	return page
}

// restartText is how often a job was started again, and how it ended each time.
func restartText(v record.View) string {
	if v.Restart == "" || v.State == record.Running {
		return v.Restart
	}
	const shown = 10
	var ends []string
	for _, a := range v.Attempts[max(0, len(v.Attempts)-shown):] {
		ends = append(ends, fmt.Sprintf("%s (%d)", a.Cause, a.ExitCode))
	}
	if v.Restarts+1 > len(ends) {
		ends = append([]string{"..."}, ends...)
	}
	return fmt.Sprintf("%s: %d times; ended %s", v.Restart, v.Restarts, strings.Join(ends, ", "))
}

// securityText is how a job was held less than usual; "" as usual.
func securityText(s record.Security) string {
	var parts []string
	if len(s.Capabilities) > 0 {
		parts = append(parts, "capabilities "+strings.Join(s.Capabilities, " "))
	}
	if s.Seccomp != "default" {
		parts = append(parts, "seccomp "+s.Seccomp)
	}
	if !s.NoNewPrivs {
		parts = append(parts, "new privileges allowed")
	}
	return strings.Join(parts, ", ")
}

func imageDigest(i record.Image) string {
	if i.Digest == "" || strings.Contains(i.Ref, "@") {
		return ""
	}
	return "(" + i.Digest + ")"
}

func timeText(t, now time.Time) string {
	return t.Local().Format("2006-01-02 15:04:05 MST") + " (" + ui.Ago(now, t) + ")"
}

// usageText is what the run took of the machine.
func usageText(v record.View) string {
	if v.Totals == nil || v.Peaks == nil {
		return ""
	}
	var parts []string
	if v.Totals.CPUSeconds > 0 {
		cpu := time.Duration(v.Totals.CPUSeconds * float64(time.Second))
		parts = append(parts, fmt.Sprintf("%s of CPU", ui.Duration(cpu)))
	}
	if v.Peaks.MemoryBytes > 0 {
		parts = append(parts, fmt.Sprintf("%s of memory at most", ui.Memory(v.Peaks.MemoryBytes)))
	}
	if v.Peaks.GPUMemoryBytes != nil {
		parts = append(parts, ui.Memory(*v.Peaks.GPUMemoryBytes)+" of GPU memory at most")
	}
	if v.Totals.GPUEnergyJoules != nil {
		parts = append(parts, report.Energy(*v.Totals.GPUEnergyJoules)+" by its GPUs")
	}
	return strings.Join(parts, ", ")
}

// gpuShowRows are the devices that the run was given, and what drives them.
func gpuShowRows(v record.View) (rows [][2]string) {
	for _, g := range v.GPUs {
		name := strings.TrimSpace(cmp.Or(g.Name, g.Vendor) + " " + g.MIG)
		if g.UUID != "" {
			name += " (" + g.UUID + ")"
		}
		rows = append(rows, [2]string{"GPU", fmt.Sprintf("%d: %s", g.Index, name)})
	}
	if d := v.Driver; d != nil && d.Version != "" {
		text := d.Version
		if d.CUDA != "" {
			text += ", CUDA " + d.CUDA
		}
		rows = append(rows, [2]string{"Driver", text})
	}
	for _, d := range v.Devices {
		rows = append(rows, [2]string{"Device", d.Name})
	}
	return rows
}

func hostText(h record.Host) string {
	var parts []string
	if h.CPUs > 0 {
		parts = append(parts, fmt.Sprintf("%d CPUs", h.CPUs))
	}
	if h.MemoryBytes > 0 {
		parts = append(parts, ui.Memory(h.MemoryBytes))
	}
	if h.Kernel != "" {
		parts = append(parts, "Linux "+h.Kernel+" "+h.Arch)
	}
	if len(parts) == 0 {
		return h.Hostname
	}
	return line.Join(h.Hostname, "("+strings.Join(parts, ", ")+")")
}

// metricRows are the metrics of a run. Of very many, some are shown.
func metricRows(v record.View) (rows [][2]string) {
	const most = 20
	names := slices.Sorted(maps.Keys(v.Metrics))
	for _, name := range names[:min(most, len(names))] {
		m := v.Metrics[name]
		text := fmt.Sprintf("%s %s", name, numberText(m.Last))
		if m.Step != nil {
			text += " at step " + numberText(*m.Step)
		}
		if m.Count > 1 {
			text += fmt.Sprintf(" (first %s", numberText(m.First))
			if m.Min != nil && m.Max != nil {
				text += fmt.Sprintf(", %s to %s", numberText(*m.Min), numberText(*m.Max))
			}
			text += fmt.Sprintf(", %d values)", m.Count)
		}
		rows = append(rows, [2]string{"Metric", text})
	}
	if len(names) > most {
		rows = append(rows, [2]string{"Metric", fmt.Sprintf("and %d more: see --json", len(names)-most)})
	}
	var dropped []string
	for _, why := range slices.Sorted(maps.Keys(v.MetricsDropped)) {
		dropped = append(dropped, fmt.Sprintf("%s %d", why, v.MetricsDropped[why]))
	}
	return append(rows, [2]string{"Not kept", strings.Join(dropped, ", ")})
}

// numberText is a number with as many digits as one reads.
func numberText(n record.Number) string { return strconv.FormatFloat(float64(n), 'g', 6, 64) }

func mountText(m record.Mount) string {
	return cmp.Or(m.Name, m.Source, m.Type) + " on " + m.Target + " (" + m.Mode + ")"
}

func secretText(s record.Secret) string {
	return s.ID + " in " + spec.SecretsDir + "/" + s.ID + " (" + s.From + ")"
}

func outputText(v record.View) string {
	if v.Log == nil {
		return ""
	}
	text := ui.Size(v.Log.Bytes) + " in output.log"
	if v.Log.Dropped > 0 {
		text += ", " + ui.Size(v.Log.Dropped) + " of it not kept"
	}
	return text
}
