package record

import (
	"bufio"
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// salvage puts into the result of a lost run what its supervisor has left in the other files: when the job began, what it had used and
// what it had said of its training by then. What cannot be read is left out.
func salvage(dir string, result *Result) {
	eachLine(filepath.Join(dir, eventsFile), func(line []byte) {
		var event struct {
			Kind    string
			Time    time.Time
			Attempt *Attempt
		}
		switch err := json.Unmarshal(line, &event); {
		case err == nil && event.Kind == "started" && result.Started.IsZero():
			result.Started = event.Time.UTC()
		case err == nil && event.Kind == "restart" && event.Attempt != nil:
			result.AddAttempt(*event.Attempt)
		}
	})
	if !result.Started.IsZero() {
		result.Wall = math.Max(0, result.Finished.Sub(result.Started).Seconds())
	}
	salvageSystem(filepath.Join(dir, SystemFile), result)
	result.Metrics = salvageMetrics(filepath.Join(dir, MetricsFile))
}

// eachLine reads the whole lines of a file; a torn last one is none.
func eachLine(path string, take func(line []byte)) {
	file, err := fsx.OpenRegular(path)
	if err != nil {
		return
	}
	defer file.Close()
	reader := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			return
		}
		take(line)
	}
}

// salvageSystem takes the last counters and the greatest gauges of system.jsonl, whose names are those of the totals and the peaks.
func salvageSystem(path string, result *Result) {
	counters, gauges, sources := map[string]float64{}, map[string]float64{}, map[string]string{}
	var gpus GPUTally
	eachLine(path, func(line []byte) {
		var head struct{ Sources map[string]string }
		var fields map[string]json.RawMessage
		if json.Unmarshal(line, &head) != nil || json.Unmarshal(line, &fields) != nil {
			return
		}
		for name, source := range head.Sources {
			sources[name] = source
		}
		var at float64
		if json.Unmarshal(fields["t"], &at) == nil {
			_ = gpus.Line(at, fields["gpus"]) // what cannot be read is left out
		}
		for name, raw := range fields {
			var counter float64
			var gauge [2]float64 // mean and greatest
			switch {
			case json.Unmarshal(raw, &counter) == nil:
				counters[name] = whole(name, counter)
			case json.Unmarshal(raw, &gauge) == nil:
				gauges[name] = max(gauges[name], whole(name, gauge[1]))
			}
		}
	})
	if len(counters) == 0 {
		return
	}
	into(counters, &result.Totals)
	into(gauges, &result.Peaks)
	result.GPUUse = gpus.Use()
	result.SumGPUs()
	result.Sources = map[string]string{}
	for name, source := range sources {
		if _, ok := counters[name]; ok {
			result.Sources["totals."+name] = source
		} else if _, ok := gauges[name]; ok {
			result.Sources["peaks."+name] = source
		}
	}
	gpuSources(result, sources)
}

// gpuSources says where the numbers of GPUs are from: a series has one word for all of a device but those that are named.
func gpuSources(result *Result, sources map[string]string) {
	for index, use := range result.GPUUse {
		raw, err := json.Marshal(use)
		var fields map[string]any
		if err != nil || json.Unmarshal(raw, &fields) != nil {
			continue
		}
		delete(fields, "measured_seconds")
		for name := range fields {
			from := sources["gpus."+index]
			if own, ok := sources["gpus."+index+"."+name]; ok {
				from = own
			}
			if from != "" {
				result.Sources["gpu_use."+index+"."+name] = from
			}
		}
	}
}

// whole is a value of what is counted in whole numbers.
func whole(name string, value float64) float64 {
	if strings.HasSuffix(name, "_bytes") || name == "processes" {
		return math.Round(value)
	}
	return value
}

// into puts values into the fields of their names.
func into(values map[string]float64, target any) {
	raw, err := json.Marshal(values)
	if err == nil {
		_ = json.Unmarshal(raw, target) // a number that does not fit is left out
	}
}

// salvageMetrics sums up metrics.jsonl.
func salvageMetrics(path string) map[string]Metric {
	metrics := map[string]Metric{}
	eachLine(path, func(line []byte) {
		var point struct {
			Step   *Number
			Values map[string]Number
		}
		if json.Unmarshal(line, &point) != nil {
			return
		}
		step := math.NaN()
		if point.Step != nil {
			step = float64(*point.Step)
		}
		for name, value := range point.Values {
			m := metrics[name]
			m.Add(float64(value), step)
			metrics[name] = m
		}
	})
	if len(metrics) == 0 {
		return nil
	}
	return metrics
}
