package metrics

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// period is how long the samples are that one line of a series stands for. A run of a week has ten thousand lines.
func period(at time.Duration) time.Duration {
	switch {
	case at < time.Hour:
		return 10 * time.Second
	case at < 6*time.Hour:
		return 30 * time.Second
	default:
		return time.Minute
	}
}

// gauge is the mean and the greatest of some values.
type gauge struct {
	sum, most float64
	n         int
}

func (g *gauge) add(v float64) {
	if g.n == 0 || v > g.most {
		g.most = v
	}
	g.sum += v
	g.n++
}

// window gathers the samples of one period.
type window struct {
	from    time.Duration // end of the period before
	last    Sample
	samples int
	gauges  [fieldCount]gauge
	gpus    map[int]*gpuWindow
}

// gpuWindow gathers what one device did.
type gpuWindow struct {
	gauges [gpuFieldCount]gauge
	last   GPU // with the counters
}

func (w *window) add(s Sample) {
	w.samples++
	for f := counters; f < fieldCount; f++ {
		if s.Has(f) {
			w.gauges[f].add(s.values[f])
		}
	}
	for _, g := range s.GPUs {
		if w.gpus == nil {
			w.gpus = map[int]*gpuWindow{}
		}
		at := w.gpus[g.Index]
		if at == nil {
			at = &gpuWindow{}
			w.gpus[g.Index] = at
		}
		for f := gpuCounters; f < gpuFieldCount; f++ {
			if g.Has(f) {
				at.gauges[f].add(g.values[f])
			}
		}
		at.last = g.counted()
	}
	w.last = s
}

// line is the period as one line of JSON; the next one begins.
func (w *window) line() []byte {
	b := append(make([]byte, 0, 512), `{"t":`...)
	b = appendNumber(b, w.last.At.Seconds(), 3)
	b = append(b, `,"samples":`...)
	b = strconv.AppendInt(b, int64(w.samples), 10)
	for f := range fieldCount {
		if f < counters && w.last.Has(f) {
			b = appendName(b, names[f])
			b = appendNumber(b, w.last.values[f], 3)
		} else if f >= counters && w.gauges[f].n > 0 {
			b = appendGauge(appendName(b, names[f]), w.gauges[f])
		}
	}
	before := `,"gpus":[`
	for _, index := range slices.Sorted(maps.Keys(w.gpus)) {
		b = w.gpus[index].append(append(b, before...), index)
		before = ","
	}
	if len(w.gpus) > 0 {
		b = append(b, ']')
	}
	*w = window{from: w.last.At}
	return append(b, '}', '\n')
}

// summedOnly are what a series does not have: eight devices are to leave it below 1 MiB an hour, and nobody draws these.
var summedOnly = []GPUField{GPUMemoryUtilization, GPUDRAMActive}

func (g *gpuWindow) append(b []byte, index int) []byte {
	b = strconv.AppendInt(append(b, `{"index":`...), int64(index), 10)
	for f := range GPUFields() {
		if g.gauges[f].n > 0 && !slices.Contains(summedOnly, f) {
			b = appendGaugeTo(appendName(b, f.String()), g.gauges[f], f.decimals())
		} else if f < gpuCounters && g.last.Has(f) {
			b = appendNumber(appendName(b, f.String()), g.last.values[f], 1)
		}
	}
	if len(g.last.Throttled) > 0 {
		b = append(appendName(b, "throttled_seconds"), '{')
		for i, reason := range slices.Sorted(maps.Keys(g.last.Throttled)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendNumber(append(strconv.AppendQuote(b, reason), ':'), g.last.Throttled[reason], 0)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendName(b []byte, name string) []byte {
	return append(append(append(b, ',', '"'), name...), '"', ':')
}

// appendGauge appends [MEAN,GREATEST].
func appendGauge(b []byte, g gauge) []byte { return appendGaugeTo(b, g, 3) }

func appendGaugeTo(b []byte, g gauge, decimals int) []byte {
	b = appendNumber(append(b, '['), g.sum/float64(g.n), decimals)
	return append(appendNumber(append(b, ','), g.most, decimals), ']')
}

// appendNumber appends a number with some decimals at most, bytes without any.
func appendNumber(b []byte, v float64, decimals int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	if v >= 1e6 {
		decimals = 0
	}
	at := len(b)
	b = strconv.AppendFloat(b, v, 'f', decimals, 64)
	if bytes.IndexByte(b[at:], '.') >= 0 {
		b = bytes.TrimRight(b, "0")
		b = bytes.TrimSuffix(b, []byte("."))
	}
	return b
}

// head is the line that says where the numbers of the lines after it are from.
func head(s Sample, gpus map[string]Source) []byte {
	sources := maps.Clone(gpus)
	if sources == nil {
		sources = map[string]Source{}
	}
	for f := range fieldCount {
		if s.Has(f) {
			sources[names[f]] = s.sources[f]
		}
	}
	line, _ := json.Marshal(map[string]any{"schema": 1, "sources": sources}) // strings and a number
	return append(line, '\n')
}
