package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
)

// row makes a row of cells; it tells whether they differ.
func row(name string, cells []pageCell) pageRow {
	r := pageRow{Name: name, Cells: cells}
	for _, c := range cells[1:] {
		r.Apart = r.Apart || c != cells[0]
	}
	return r
}

// metricTable has what the runs said of their training, exactly.
func metricTable(runs []Run, w Words) (rows []pageRow) {
	names := map[string]bool{}
	all := make([]map[string]record.Metric, len(runs))
	for i := range runs {
		all[i] = map[string]record.Metric{}
		for _, m := range metricRows(&runs[i]) {
			names[m.Name], all[i][m.Name] = true, m.Metric
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		cells := make([]pageCell, len(runs))
		for i := range runs {
			if m, ok := all[i][name]; ok {
				cells[i] = metricCell(m)
			}
		}
		rows = append(rows, row(w.Escape(name), cells))
	}
	return rows
}

func metricCell(m record.Metric) pageCell {
	exact := func(n record.Number) string { return strconv.FormatFloat(float64(n), 'g', -1, 64) }
	c := pageCell{Main: exact(m.Last)}
	var more []string
	if m.Step != nil {
		more = append(more, "step "+exact(*m.Step))
	}
	if m.Count > 1 {
		more = append(more, "from "+Figure(m.First))
	}
	if m.Min != nil && m.Max != nil && m.Count > 1 {
		more = append(more, fmt.Sprintf("%s to %s", Figure(*m.Min), Figure(*m.Max)))
	}
	if m.Count > 1 {
		more = append(more, fmt.Sprintf("%d values", m.Count))
	}
	c.More = strings.Join(more, ", ")
	return c
}

// facts are the rows of what ran on what, by name.
var facts = []struct {
	name string
	of   func(r *Run, w Words) string
}{
	{"Run", func(r *Run, _ Words) string { return r.ID }},
	{"Image", func(r *Run, _ Words) string { return r.Image.Ref }},
	{"Digest", func(r *Run, _ Words) string { return r.Image.Digest }},
	{"Command", func(r *Run, _ Words) string { return CommandLine(r.Argv) }},
	{"Directory", func(r *Run, _ Words) string { return r.Cwd }},
	{"User", func(r *Run, _ Words) string { return r.User }},
	{"Variables", func(r *Run, _ Words) string {
		var list []string
		for _, name := range slices.Sorted(maps.Keys(r.Env.Set)) {
			list = append(list, name+"="+r.Env.Set[name])
		}
		return strings.Join(list, "\n")
	}},
	{"Mounts", func(r *Run, _ Words) string {
		var list []string
		for _, m := range r.Mounts {
			list = append(list, fmt.Sprintf("%s on %s (%s)", firstOf(m.Name, m.Source, m.Type), m.Target, m.Mode))
		}
		return strings.Join(list, "\n")
	}},
	{"Limits", func(r *Run, w Words) string {
		var list []string
		for _, l := range r.Limits.Enforced {
			list = append(list, fmt.Sprintf("%s %s (%s)", l.Limit, limitValue(w, l), l.Mechanism))
		}
		for _, l := range r.Limits.Missing {
			list = append(list, fmt.Sprintf("%s %s (not enforced)", l.Limit, limitValue(w, l)))
		}
		return strings.Join(list, "\n")
	}},
	{"Network", func(r *Run, _ Words) string { return r.Network }},
	{"Host", func(r *Run, _ Words) string { return r.Host.Hostname }},
	{"Machine", func(r *Run, w Words) string {
		if r.Host.CPUs == 0 {
			return ""
		}
		return fmt.Sprintf("%d CPUs, %s, Linux %s %s", r.Host.CPUs, w.Memory(r.Host.MemoryBytes), r.Host.Kernel, r.Host.Arch)
	}},
	{"GPUs", func(r *Run, w Words) string {
		var list []string
		for i := range r.View.GPUs {
			list = append(list, gpuText(&r.View.GPUs[i], w))
		}
		return strings.Join(list, "\n")
	}},
	{"Devices", func(r *Run, _ Words) string {
		var list []string
		for _, d := range r.Devices {
			list = append(list, d.Name)
		}
		return strings.Join(list, "\n")
	}},
	{"Driver", func(r *Run, _ Words) string { return driverText(r) }},
	{"Git", func(r *Run, _ Words) string {
		if r.Git == nil {
			return ""
		}
		return strings.Join(slices.DeleteFunc([]string{r.Git.Commit, r.Git.Branch, r.Git.Remote, r.Git.Dir}, func(s string) bool { return s == "" }), "\n")
	}},
	{"Repeats", func(r *Run, _ Words) string { return r.RerunOf }},
	{"Batch job", func(r *Run, _ Words) string { return schedulerPart(r) }},
	{"Coracle", func(r *Run, _ Words) string { return r.Coracle.Version }},
	{"Taken out", func(r *Run, _ Words) string { return strings.Join(r.Redact, ", ") }},
	{"Record", func(r *Run, _ Words) string { return r.Dir }},
}

// gpuText names a device.
func gpuText(g *record.GPU, w Words) string {
	parts := []string{firstOf(g.Name, g.Vendor)}
	if g.MIG != "" {
		parts = append(parts, "MIG "+g.MIG)
	}
	if g.MemoryBytes > 0 {
		parts = append(parts, w.Memory(g.MemoryBytes))
	}
	if g.UUID != "" {
		parts = append(parts, g.UUID)
	}
	return strings.Join(parts, ", ")
}

func driverText(r *Run) string {
	text := r.Host.Driver
	if r.Driver == nil {
		return text
	}
	text = firstOf(r.Driver.Version, text)
	if r.Driver.CUDA != "" {
		text += ", CUDA " + r.Driver.CUDA
	}
	return text
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// provenance is what ran, on what, of all runs.
func provenance(runs []Run, w Words) (rows []pageRow) {
	for _, f := range facts {
		cells := make([]pageCell, len(runs))
		empty := true
		for i := range runs {
			var lines []string
			for line := range strings.SplitSeq(f.of(&runs[i], w), "\n") {
				lines = append(lines, w.Escape(line))
			}
			cells[i].Main = strings.Join(lines, "\n")
			empty = empty && cells[i].Main == ""
		}
		if !empty {
			r := row(f.name, cells)
			r.Apart = r.Apart && f.name != "Run" && f.name != "Record" // which are of one run only
			rows = append(rows, r)
		}
	}
	return rows
}
