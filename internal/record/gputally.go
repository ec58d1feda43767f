package record

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// GPUTally sums up what the lines of system.jsonl say of GPUs. The zero value has nothing.
type GPUTally struct {
	from float64
	gpus map[string]*gpuTally
}

// gpuTally is one device's.
type gpuTally struct {
	use     GPUUse
	weights map[string]float64 // of the means so far, in seconds, by field
}

// gpuLine is a device in a line of system.jsonl.
type gpuLine struct {
	Index     int                `json:"index"`
	Energy    *float64           `json:"energy_joules"`
	Throttled map[string]float64 `json:"throttled_seconds"`
	gpuGauges
}

// gpuGauges are the mean and the greatest of each.
type gpuGauges struct {
	Utilization       *[2]float64 `json:"utilization"`
	MemoryUtilization *[2]float64 `json:"memory_utilization"`
	SMActive          *[2]float64 `json:"sm_active"`
	TensorActive      *[2]float64 `json:"tensor_active"`
	DRAMActive        *[2]float64 `json:"dram_active"`
	Power             *[2]float64 `json:"power_watts"`
	Celsius           *[2]float64 `json:"celsius"`
	Memory            *[2]float64 `json:"memory_bytes"`
	JobMemory         *[2]float64 `json:"job_memory_bytes"`
}

// mostGPUs bounds the numbers of devices: sixteen with seven instances each are the most that a machine has today.
const mostGPUs = 1024

// Line adds a line that ends some seconds after the job's start. gpus is the line's member of that name; nil: it has none.
func (t *GPUTally) Line(at float64, gpus json.RawMessage) error {
	passed := max(0, at-t.from)
	t.from = at
	if gpus == nil {
		return nil
	}
	var list []gpuLine
	if err := json.Unmarshal(gpus, &list); err != nil {
		return err
	}
	for _, l := range list {
		if l.Index < 0 || l.Index >= mostGPUs {
			return fmt.Errorf("%w: a GPU with number %d", ErrDamaged, l.Index)
		}
		if t.gpus == nil {
			t.gpus = map[string]*gpuTally{}
		}
		index := strconv.Itoa(l.Index)
		if t.gpus[index] == nil {
			t.gpus[index] = &gpuTally{weights: map[string]float64{}}
		}
		t.gpus[index].add(l, passed)
	}
	return nil
}

// Use is what the devices did, by their indices; nil for none.
func (t *GPUTally) Use() map[string]GPUUse {
	if t.gpus == nil {
		return nil
	}
	use := map[string]GPUUse{}
	for index, g := range t.gpus {
		use[index] = g.use
	}
	return use
}

func (g *gpuTally) add(l gpuLine, passed float64) {
	u := &g.use
	u.Seconds += passed
	for _, f := range []struct {
		name string
		of   *[2]float64
		into **Extent
	}{
		{"utilization", l.Utilization, &u.Utilization}, {"memory_utilization", l.MemoryUtilization, &u.MemoryUtilization}, {"sm_active", l.SMActive, &u.SMActive},
		{"tensor_active", l.TensorActive, &u.TensorActive}, {"dram_active", l.DRAMActive, &u.DRAMActive}, {"power_watts", l.Power, &u.PowerWatts}, {"celsius", l.Celsius, &u.Celsius},
	} {
		if f.of == nil {
			continue
		}
		if *f.into == nil {
			*f.into = &Extent{Mean: f.of[0], Max: f.of[1]}
		}
		e := *f.into
		g.weights[f.name] += passed
		if all := g.weights[f.name]; all > 0 {
			e.Mean += (f.of[0] - e.Mean) * passed / all
		}
		e.Max = max(e.Max, f.of[1])
	}
	keepMost(&u.MemoryBytes, l.Memory)
	keepMost(&u.JobMemoryBytes, l.JobMemory)
	if l.Energy != nil {
		u.EnergyJoules = l.Energy
	}
	if l.Throttled != nil {
		u.Throttled = l.Throttled
	}
}

// keepMost keeps the greater of two sizes.
func keepMost(into **int64, of *[2]float64) {
	if of == nil {
		return
	}
	if v := int64(math.Round(of[1])); *into == nil || v > **into {
		*into = &v
	}
}

// SumGPUs puts into the totals and peaks what all devices did together.
func (r *Result) SumGPUs() {
	for _, u := range r.GPUUse {
		if u.EnergyJoules != nil {
			sum := *u.EnergyJoules
			if r.Totals.GPUEnergyJoules != nil {
				sum += *r.Totals.GPUEnergyJoules
			}
			r.Totals.GPUEnergyJoules = &sum
		}
		memory := u.JobMemoryBytes
		if memory == nil {
			memory = u.MemoryBytes
		}
		if memory != nil && (r.Peaks.GPUMemoryBytes == nil || *memory > *r.Peaks.GPUMemoryBytes) {
			r.Peaks.GPUMemoryBytes = memory
		}
	}
}
