package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
)

// GPU is one of a run's devices, and what it did: in all or, while the run goes on, so far.
type GPU struct {
	record.GPU
	Use record.GPUUse
	Now map[string]float64 // the last of each number, by its name; of gauges the mean
}

// gpuReader reads what system.jsonl says of GPUs.
type gpuReader struct {
	tally record.GPUTally
	now   map[int]map[string]float64
}

// gpuCurves are what is drawn of each device.
var gpuCurves = []struct {
	chart string
	unit  Unit
	field string
	scale float64
}{
	{"GPU utilization", Percent, "utilization", 100}, {"GPU multiprocessors active", Percent, "sm_active", 100}, {"GPU tensor cores active", Percent, "tensor_active", 100},
	{"GPU memory", Bytes, "memory_bytes", 1}, {"GPU power", Watts, "power_watts", 1}, {"GPU temperature", Celsius, "celsius", 1},
}

// line reads the devices of a line, and draws them.
func (r *gpuReader) line(t float64, raw json.RawMessage, draw func(chart, line string) *fold) error {
	if err := r.tally.Line(t, raw); err != nil || raw == nil {
		return err
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, fields := range list {
		var index int
		if err := json.Unmarshal(fields["index"], &index); err != nil {
			return err
		}
		now := map[string]float64{}
		for name, value := range fields {
			var n float64
			var g gauge
			switch {
			case name == "index":
			case json.Unmarshal(value, &n) == nil:
				now[name] = n
			case json.Unmarshal(value, &g) == nil:
				now[name] = g[0]
				r.curve(t, index, name, g, draw)
			}
		}
		if r.now == nil {
			r.now = map[int]map[string]float64{}
		}
		r.now[index] = now
	}
	return nil
}

func (r *gpuReader) curve(t float64, index int, field string, g gauge, draw func(chart, line string) *fold) {
	for _, c := range gpuCurves {
		if c.field == field {
			draw(c.chart, gpuName(index)).add(Point{T: t, Mean: g[0] * c.scale, Min: g[0] * c.scale, Max: g[1] * c.scale})
		}
	}
}

func gpuName(index int) string { return fmt.Sprintf("GPU %d", index) }

// gpuIndex is the number of a device by its name.
func gpuIndex(name string) (index int, ok bool) {
	text, ok := strings.CutPrefix(name, "GPU ")
	index, err := strconv.Atoi(text)
	return index, ok && err == nil
}

// gpus are the run's devices: what the result says of them or, where there is none yet, the series.
func (r *gpuReader) gpus(run *Run) (list []GPU) {
	use := run.GPUUse
	if use == nil {
		use = r.tally.Use()
	}
	indices := map[int]record.GPU{}
	for index := range use {
		if n, err := strconv.Atoi(index); err == nil {
			indices[n] = record.GPU{Index: n}
		}
	}
	for _, g := range run.View.GPUs {
		indices[g.Index] = g
	}
	for _, index := range slices.Sorted(maps.Keys(indices)) {
		list = append(list, GPU{GPU: indices[index], Use: use[strconv.Itoa(index)], Now: r.now[index]})
	}
	return list
}

// memory is the most that was in use, by the job where that is known.
func (g *GPU) memory() *int64 {
	if g.Use.JobMemoryBytes != nil {
		return g.Use.JobMemoryBytes
	}
	return g.Use.MemoryBytes
}

// gpuMeter is the line of one device.
func (r *Run) gpuMeter(w Words, g *GPU) Meter {
	u := &g.Use
	m := Meter{Name: gpuName(g.Index), Share: notANumber}
	var parts []string
	if u.Utilization != nil {
		m.Share = u.Utilization.Mean
		parts = append(parts, "busy on average")
	}
	if text := g.memoryText(w); text != "" {
		parts = append(parts, text)
	}
	if u.PowerWatts != nil {
		parts = append(parts, fmt.Sprintf("%.0f W", u.PowerWatts.Mean))
	}
	if u.EnergyJoules != nil {
		parts = append(parts, Energy(*u.EnergyJoules))
	}
	if u.TensorActive != nil {
		parts = append(parts, fmt.Sprintf("tensor cores active %.0f%%", 100*u.TensorActive.Mean))
	}
	if reason, share := g.held(); share >= 0.01 {
		parts = append(parts, fmt.Sprintf("held back %.0f%% of the time (%s)", 100*share, reason))
	}
	parts = append(parts, g.absent()...)
	if u.Lost != "" {
		parts = append(parts, "lost: "+u.Lost)
	}
	if u.Seconds == 0 && u.Lost == "" && len(u.Missing) == 0 {
		parts = append(parts, "not measured")
	}
	m.Text = strings.Join(parts, ", ")
	return m
}

func (g *GPU) memoryText(w Words) string {
	used := g.memory()
	if used == nil {
		return ""
	}
	text := w.Memory(*used)
	if g.MemoryBytes > 0 {
		text += " of " + w.Memory(g.MemoryBytes)
	}
	text += " of memory at most"
	if all, own := g.Use.MemoryBytes, g.Use.JobMemoryBytes; all != nil && own != nil && *all-*own > 1<<30 {
		text += " (" + w.Memory(*all) + " with what others use)"
	}
	return text
}

// absent are the numbers that one looks for and that are not there, by the reason.
func (g *GPU) absent() (texts []string) {
	names := map[string][]string{}
	for _, f := range []struct{ field, name string }{
		{"utilization", "utilization"}, {"memory_bytes", "memory"}, {"job_memory_bytes", "the job's own memory"}, {"power_watts", "power"}, {"energy_joules", "energy"},
	} {
		if why := g.Use.Missing[f.field]; why != "" {
			names[why] = append(names[why], f.name)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(names)) {
		texts = append(texts, strings.Join(names[why], ", ")+" n/a ("+why+")")
	}
	return texts
}

// held is why its clocks were held down for longest, and for which part of the time.
func (g *GPU) held() (reason string, share float64) {
	for _, name := range slices.Sorted(maps.Keys(g.Use.Throttled)) {
		if part := g.Use.Throttled[name] / g.Use.Seconds; g.Use.Seconds > 0 && part > share {
			reason, share = name, min(1, part)
		}
	}
	return strings.ReplaceAll(reason, "_", " "), share
}

// Energy is an energy in joules as one reads it.
func Energy(joules float64) string {
	const wh, kwh = 3600, 3.6e6
	switch {
	case joules >= 0.1*kwh:
		return fmt.Sprintf("%.2f kWh", joules/kwh)
	case joules >= wh:
		return fmt.Sprintf("%.1f Wh", joules/wh)
	}
	return fmt.Sprintf("%.0f J", joules)
}

// gpusPart names the devices, those of one kind together, and what drives them.
func gpusPart(r *Run) string {
	var kinds []string
	count := map[string]int{}
	for i := range r.View.GPUs {
		g := &r.View.GPUs[i]
		kind := firstOf(g.Name, g.Vendor)
		if g.MIG != "" {
			kind += " MIG " + g.MIG
		}
		if count[kind]++; count[kind] == 1 {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return ""
	}
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d x %s", count[kind], kind)
	}
	text := "gpus " + strings.Join(kinds, ", ")
	if driver := driverText(r); driver != "" {
		text += ", driver " + driver
	}
	return text
}

// gpuMemoryLimit is how much memory each of the devices has; 0 when they differ.
func (r *Run) gpuMemoryLimit() float64 {
	if len(r.GPUs) == 0 {
		return 0
	}
	for i := range r.GPUs {
		if r.GPUs[i].MemoryBytes != r.GPUs[0].MemoryBytes {
			return 0
		}
	}
	return float64(r.GPUs[0].MemoryBytes)
}
