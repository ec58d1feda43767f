package metrics

import (
	"iter"
	"maps"
)

// GPUField is one number of what a GPU did.
type GPUField int

// The counter, in joules since the job's start, then the gauges.
const (
	GPUEnergy GPUField = iota
	gpuCounters

	GPUUtilization       GPUField = iota - 1 // of 1, as the next one
	GPUMemoryUtilization                     // the part of the time in which its memory was read or written
	GPUSMActive                              // of 1, as the next two
	GPUTensorActive
	GPUDRAMActive
	GPUPower // watts
	GPUCelsius
	GPUMemory    // bytes in use on the device, by whomever
	GPUJobMemory // by the job's own processes
	gpuFieldCount
)

var gpuNames = [gpuFieldCount]string{
	"energy_joules", "utilization", "memory_utilization", "sm_active", "tensor_active", "dram_active", "power_watts", "celsius", "memory_bytes", "job_memory_bytes",
}

func (f GPUField) String() string { return gpuNames[f] }

// share tells fields that are of 1.
func (f GPUField) share() bool { return f >= GPUUtilization && f <= GPUDRAMActive }

// decimals is how many of them a series has: as many as drivers can tell.
func (f GPUField) decimals() int {
	if f.share() {
		return 2
	}
	return 0
}

// GPUFields are all of them.
func GPUFields() iter.Seq[GPUField] {
	return func(yield func(GPUField) bool) {
		for f := range gpuFieldCount {
			if !yield(f) {
				return
			}
		}
	}
}

// The sources of what GPUs did.
const (
	FromNVML  Source = "nvml"
	FromSysfs Source = "sysfs"
	FromPower Source = "power" // energy that was summed up from the power of each look
)

// GPU is what one device did at one moment. The zero value has nothing.
type GPU struct {
	Index     int                // as the job numbers its devices
	Seconds   float64            // that it stands for: since the look before
	Throttled map[string]float64 // by reason, the seconds since the job's start in which its clocks were held down
	Missing   map[string]string  // by the name of a field, why there is no such number
	Lost      string             // it does not answer any more, and why

	set     uint16
	values  [gpuFieldCount]float64
	sources [gpuFieldCount]Source
}

// Put sets a number and says where it is from.
func (g *GPU) Put(f GPUField, value float64, from Source) {
	g.values[f], g.sources[f] = value, from
	g.set |= 1 << f
}

// Has reports whether a number was measured.
func (g *GPU) Has(f GPUField) bool { return g.set&(1<<f) != 0 }

// Get is a number; 0 when it was not measured.
func (g *GPU) Get(f GPUField) float64 {
	if !g.Has(f) {
		return 0
	}
	return g.values[f]
}

// Source is where a number is from; "" when it was not measured.
func (g *GPU) Source(f GPUField) Source {
	if !g.Has(f) {
		return ""
	}
	return g.sources[f]
}

// counted is what of it is not of a moment.
func (g *GPU) counted() GPU {
	out := GPU{Index: g.Index, Throttled: g.Throttled, Lost: g.Lost}
	if g.Has(GPUEnergy) {
		out.Put(GPUEnergy, g.values[GPUEnergy], g.sources[GPUEnergy])
	}
	return out
}

// GPUSummary is what one device did in all.
type GPUSummary struct {
	Last    GPU     // with the counters
	Peaks   GPU     // the greatest of each gauge
	Seconds float64 // for how long it was measured
	Missing map[string]string
	Lost    string

	sums, weights [gpuFieldCount]float64
}

// Mean is the mean of a gauge over the time in which it was measured.
func (s *GPUSummary) Mean(f GPUField) (v float64, ok bool) {
	if s.weights[f] <= 0 {
		return 0, false
	}
	return s.sums[f] / s.weights[f], true
}

// add adds a look at the device.
func (s *GPUSummary) add(g GPU) {
	s.Seconds += g.Seconds
	for f := range GPUFields() {
		switch {
		case !g.Has(f):
			continue
		case f < gpuCounters:
			s.Last.Put(f, g.values[f], g.sources[f])
			continue
		case !s.Peaks.Has(f) || g.values[f] > s.Peaks.values[f]:
			s.Peaks.Put(f, g.values[f], g.sources[f])
		}
		s.sums[f] += g.values[f] * g.Seconds
		s.weights[f] += g.Seconds
		s.Last.Put(f, g.values[f], g.sources[f])
	}
	s.Last.Index, s.Peaks.Index = g.Index, g.Index
	if g.Throttled != nil {
		s.Last.Throttled = g.Throttled
	}
	if s.Missing == nil {
		s.Missing = map[string]string{}
	}
	maps.Copy(s.Missing, g.Missing)
	for f := range GPUFields() {
		if s.Peaks.Has(f) || s.Last.Has(f) {
			delete(s.Missing, f.String())
		}
	}
	if g.Lost != "" {
		s.Lost = g.Lost
	}
}

// putSources says where a device's numbers are from, as a series has it: one word for all that have the same.
func (g *GPU) putSources(out map[string]Source, name string) {
	most := Source("")
	for f := range GPUFields() {
		if from := g.Source(f); from != "" && from != FromPower {
			most = from
		}
	}
	if most != "" {
		out[name] = most
	}
	for f := range GPUFields() {
		if from := g.Source(f); from != "" && from != most {
			out[name+"."+f.String()] = from
		}
	}
}
