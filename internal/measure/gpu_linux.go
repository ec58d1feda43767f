package measure

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
)

// measuredGPUs are the job's GPUs, and who tells what they do.
type measuredGPUs struct {
	devices  []record.GPU
	watchers []metrics.GPUOptions

	mu      sync.Mutex
	trouble string // why they are not measured any more
}

// measurableGPUs are the job's GPUs; nil for none.
func measurableGPUs(job Job, into *record.Writer, notice func(string)) *measuredGPUs {
	if len(job.GPUs) == 0 {
		return nil
	}
	m := &measuredGPUs{devices: job.GPUs}
	for _, o := range job.Watchers {
		m.add(o)
	}
	for i := range m.watchers {
		m.watchers[i].Ended = func(err error) {
			m.mu.Lock()
			m.trouble = err.Error()
			m.mu.Unlock()
			_ = into.Event("gpu-metrics-lost", map[string]any{"error": err}) // a full disk must not end a training
			notice("what the GPUs do is not measured any more: " + err.Error() + "; the job goes on")
		}
		m.watchers[i].Lost = func(index int, why string) {
			_ = into.Event("gpu-lost", map[string]any{"index": index, "error": why}) // likewise
			notice(fmt.Sprintf("GPU %d of the job does not answer any more: %s", index, why))
		}
	}
	return m
}

// add has some of the devices watched: those of its UUIDs, by the numbers that the job has for them.
func (m *measuredGPUs) add(o metrics.GPUOptions) {
	uuids := o.UUIDs
	o.UUIDs = nil
	for _, g := range m.devices {
		if g.UUID != "" && slices.Contains(uuids, g.UUID) {
			o.UUIDs, o.Indices = append(o.UUIDs, g.UUID), append(o.Indices, g.Index)
		}
	}
	if len(o.UUIDs) > 0 {
		m.watchers = append(m.watchers, o)
	}
}

// open begins to watch. Without the tree it is not known which processes are the job's.
func (m *measuredGPUs) open(tree *metrics.Tree, started time.Time) (samplers []metrics.Sampler) {
	if m == nil {
		return nil
	}
	for _, o := range m.watchers {
		o.Started = started
		if tree != nil {
			o.Own, _ = tree.Owner() // else the job has ended
		}
		samplers = append(samplers, metrics.OpenGPUs(o))
	}
	return samplers
}

// result puts what the devices did into a job's result. Of a job that ended before they were looked at there is nothing.
func (m *measuredGPUs) result(of map[int]*metrics.GPUSummary, r *record.Result) {
	if m == nil {
		return
	}
	m.mu.Lock()
	r.GPUError = m.trouble
	m.mu.Unlock()
	for _, index := range slices.Sorted(maps.Keys(of)) {
		if r.GPUUse == nil {
			r.GPUUse = map[string]record.GPUUse{}
		}
		name := strconv.Itoa(index)
		r.GPUUse[name] = useOf(of[index])
		for f := range metrics.GPUFields() {
			from := of[index].Peaks.Source(f)
			if f == metrics.GPUEnergy {
				from = of[index].Last.Source(f)
			}
			if from != "" {
				r.Sources["gpu_use."+name+"."+f.String()] = string(from)
			}
		}
	}
	r.SumGPUs()
}

// useOf is the record's form of what a device did.
func useOf(s *metrics.GPUSummary) record.GPUUse {
	u := record.GPUUse{Seconds: round(s.Seconds), Lost: s.Lost}
	for f, into := range map[metrics.GPUField]**record.Extent{
		metrics.GPUUtilization: &u.Utilization, metrics.GPUMemoryUtilization: &u.MemoryUtilization, metrics.GPUSMActive: &u.SMActive,
		metrics.GPUTensorActive: &u.TensorActive, metrics.GPUDRAMActive: &u.DRAMActive, metrics.GPUPower: &u.PowerWatts, metrics.GPUCelsius: &u.Celsius,
	} {
		if mean, ok := s.Mean(f); ok {
			*into = &record.Extent{Mean: round(mean), Max: round(s.Peaks.Get(f))}
		}
	}
	for f, into := range map[metrics.GPUField]**int64{metrics.GPUMemory: &u.MemoryBytes, metrics.GPUJobMemory: &u.JobMemoryBytes} {
		if s.Peaks.Has(f) {
			*into = new(int64(s.Peaks.Get(f)))
		}
	}
	if s.Last.Has(metrics.GPUEnergy) {
		u.EnergyJoules = new(round(s.Last.Get(metrics.GPUEnergy)))
	}
	for reason, seconds := range s.Last.Throttled {
		if u.Throttled == nil {
			u.Throttled = map[string]float64{}
		}
		u.Throttled[reason] = round(seconds)
	}
	if len(s.Missing) > 0 {
		u.Missing = s.Missing
	}
	return u
}

// round leaves what a device can tell: thousandths.
func round(v float64) float64 { return math.Round(v*1e3) / 1e3 }

// evidence is what is known of the devices at the job's end. It follows result.
func (m *measuredGPUs) evidence(r record.Result) (list []cause.GPU) {
	if m == nil {
		return nil
	}
	for _, g := range m.devices {
		use := r.GPUUse[strconv.Itoa(g.Index)]
		e := cause.GPU{Index: g.Index, Total: float64(g.MemoryBytes), Lost: use.Lost}
		if use.MemoryBytes != nil {
			e.Peak = float64(*use.MemoryBytes)
		}
		if use.JobMemoryBytes != nil {
			e.Own = float64(*use.JobMemoryBytes)
		}
		list = append(list, e)
	}
	return list
}
