package report

import (
	"encoding/json"
	"maps"
	"slices"
)

// systemReader reads system.jsonl into charts.
type systemReader struct {
	points int
	folds  map[string]*fold // by chart and line
	before map[string]float64
	from   float64
	now    map[string]float64
	most   map[string]float64
	gpus   gpuReader
}

func newSystemReader(points int) *systemReader {
	return &systemReader{
		points: points, folds: map[string]*fold{}, before: map[string]float64{}, now: map[string]float64{}, most: map[string]float64{},
	}
}

// curves are what is drawn of the gauges, and of counters as rates.
var curves = []struct {
	chart, line string
	unit        Unit
	field       string
	rate        bool
	scale       float64
}{
	{"CPU", "busy", Cores, "cpu_cores", false, 1},
	{"Memory", "in use", Bytes, "memory_bytes", false, 1},
	{"Memory", "anonymous and shared", Bytes, "anon_shmem_bytes", false, 1},
	{"Memory", "swapped out", Bytes, "swap_bytes", false, 1},
	{"Reads and writes", "read", PerSec, "file_read_bytes", true, 1},
	{"Reads and writes", "written", PerSec, "file_write_bytes", true, 1},
	{"Network", "received", PerSec, "received_bytes", true, 1},
	{"Network", "sent", PerSec, "sent_bytes", true, 1},
	{"Waiting", "for CPU", Percent, "pressure_cpu_seconds", true, 100},
	{"Waiting", "for memory", Percent, "pressure_memory_seconds", true, 100},
	{"Waiting", "for I/O", Percent, "pressure_io_seconds", true, 100},
}

// gauge is a mean and the greatest value.
type gauge [2]float64

func (r *systemReader) line(raw []byte) error {
	var l map[string]json.RawMessage
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	if _, head := l["schema"]; head {
		return nil
	}
	var t float64
	if err := json.Unmarshal(l["t"], &t); err != nil {
		return err
	}
	gauges, counters := map[string]gauge{}, map[string]float64{}
	for name, value := range l {
		var g gauge
		var n float64
		switch {
		case name == "t" || name == "samples" || name == "gpus":
		case json.Unmarshal(value, &n) == nil:
			counters[name], r.now[name] = n, n
		case json.Unmarshal(value, &g) == nil:
			gauges[name], r.now[name], r.most[name] = g, g[0], max(r.most[name], g[1])
		}
	}
	r.curves(t, gauges, counters)
	if err := r.gpus.line(t, l["gpus"], r.fold); err != nil {
		return err
	}
	r.before, r.from = counters, t
	return nil
}

func (r *systemReader) curves(t float64, gauges map[string]gauge, counters map[string]float64) {
	passed := t - r.from
	for _, c := range curves {
		if g, ok := gauges[c.field]; ok {
			r.fold(c.chart, c.line).add(Point{T: t, Mean: g[0] * c.scale, Min: g[0] * c.scale, Max: g[1] * c.scale})
		}
		now, ok := counters[c.field]
		if !c.rate || !ok || passed <= 0 {
			continue
		}
		v := max(0, now-r.before[c.field]) / passed * c.scale
		r.fold(c.chart, c.line).add(Point{T: t, Mean: v, Min: v, Max: v})
	}
}

func (r *systemReader) fold(chart, line string) *fold {
	key := chart + "\x00" + line
	f := r.folds[key]
	if f == nil {
		f = newFold(line, r.points)
		r.folds[key] = f
	}
	return f
}

// result makes the charts. A curve that never left zero is left out where its chart has another, but for a GPU's.
func (r *systemReader) result(run *Run) {
	var charts []Chart
	add := func(title string, unit Unit, keys []string, all bool) {
		c := Chart{Title: title, Unit: unit}
		for _, key := range keys {
			if f := r.folds[key]; f != nil && len(f.series.Points) > 1 {
				c.Lines = append(c.Lines, f.series)
			}
		}
		if idle := func(s Series) bool { return slices.IndexFunc(s.Points, func(p Point) bool { return p.Max > 0 }) < 0 }; len(c.Lines) > 1 && !all {
			c.Lines = slices.DeleteFunc(c.Lines, idle)
		}
		if len(c.Lines) > 0 {
			charts = append(charts, c)
		}
	}
	for _, g := range gpuCurves {
		var keys []string
		for _, index := range slices.Sorted(maps.Keys(r.gpus.now)) {
			keys = append(keys, g.chart+"\x00"+gpuName(index))
		}
		add(g.chart, g.unit, keys, true)
	}
	for i, c := range curves {
		if i > 0 && curves[i-1].chart == c.chart {
			continue
		}
		var keys []string
		for _, other := range curves {
			if other.chart == c.chart {
				keys = append(keys, other.chart+"\x00"+other.line)
			}
		}
		add(c.chart, c.unit, keys, false)
	}
	run.GPUs = r.gpus.gpus(run)
	run.System, run.Now, run.Most, run.End, run.sampled = charts, r.now, r.most, r.from, r.from
}
