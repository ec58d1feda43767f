package metrics

import (
	"cmp"
	"maps"
	"math"
	"time"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// device is what is known of one GPU that is being watched.
type device struct {
	index     int
	looked    time.Time // when it was read last, or the job began
	counter   *float64  // of the look before
	power     *float64
	energy    float64
	throttled map[string]float64
	lost      bool

	// What a sample takes, under the sampler's lock.
	latest  GPU
	at      time.Time // of latest
	fresh   bool      // it is of nobody's sample yet
	gone    bool      // it says that the device is lost
	sampled time.Time // of the one that a sample took last
}

// missingNames are the record's names of what a reading may lack, where they are others.
var missingNames = map[string]string{"memory_used_bytes": "memory_bytes", "processes": "job_memory_bytes", "throttled": "throttled_seconds"}

// read makes of a reading at some moment what the device did.
func (d *device) read(r *gpu.Reading, at time.Time, from Source, own func(int) bool) GPU {
	passed := max(0, at.Sub(d.looked).Seconds())
	d.looked = at
	if r.Lost != "" {
		d.lost = true
		return GPU{Index: d.index, Lost: r.Lost}
	}
	g := GPU{Index: d.index, Missing: map[string]string{}}
	for name, why := range r.Missing {
		g.Missing[cmp.Or(missingNames[name], name)] = cmp.Or(why, "the driver does not say why")
	}
	for f, v := range map[GPUField]*float64{
		GPUUtilization: r.Utilization, GPUMemoryUtilization: r.MemoryUtilization, GPUSMActive: r.SMActive, GPUTensorActive: r.TensorActive,
		GPUDRAMActive: r.DRAMActive, GPUPower: r.PowerWatts, GPUCelsius: r.Celsius, GPUMemory: r.MemoryUsedBytes,
	} {
		switch {
		case v == nil:
		case sensible(f, *v):
			g.Put(f, *v, from)
		default:
			g.Missing[f.String()] = "the driver says what cannot be"
		}
	}
	d.count(&g, r, passed, from)
	d.hold(&g, r, passed)
	ownMemory(&g, r, from, own)
	return g
}

// sensible tells what may be from what cannot.
func sensible(f GPUField, v float64) bool {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return false
	case f == GPUCelsius:
		return v > -274
	case f.share():
		return v >= 0 && v <= 1
	}
	return v >= 0
}

// count adds the energy since the look before: what the device has counted or, where it does not count, what it drew.
func (d *device) count(g *GPU, r *gpu.Reading, passed float64, from Source) {
	counter, power := r.EnergyJoules, (*float64)(nil)
	if counter != nil && !sensible(GPUEnergy, *counter) {
		counter = nil
	}
	if g.Has(GPUPower) {
		power = r.PowerWatts
	}
	switch {
	case counter != nil:
		if d.counter != nil && *counter >= *d.counter { // else it has begun anew
			d.energy += *counter - *d.counter
		}
		g.Put(GPUEnergy, d.energy, from)
	case power != nil:
		before := power
		if d.power != nil {
			before = d.power
		}
		d.energy += (*before + *power) / 2 * passed
		g.Put(GPUEnergy, d.energy, FromPower)
		delete(g.Missing, GPUEnergy.String())
	}
	d.counter, d.power = counter, power
}

// mostReasons bounds what a device may be held down for: NVML knows of nine.
const mostReasons = 16

// hold adds the time for which its clocks were held down.
func (d *device) hold(g *GPU, r *gpu.Reading, passed float64) {
	for _, reason := range r.Throttled {
		if _, known := d.throttled[reason]; plainWord(reason) && (known || len(d.throttled) < mostReasons) {
			d.throttled[reason] += passed
		}
	}
	if _, missing := g.Missing["throttled_seconds"]; !missing {
		g.Throttled = maps.Clone(d.throttled)
	}
}

// plainWord reports whether a text is a name such as sw_power_cap.
func plainWord(text string) bool {
	for _, c := range []byte(text) {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return text != "" && len(text) <= 64
}

// ownMemory is what the job's own processes have on the device.
func ownMemory(g *GPU, r *gpu.Reading, from Source, own func(int) bool) {
	name := GPUJobMemory.String()
	if _, missing := g.Missing[name]; missing {
		return
	}
	if own == nil {
		g.Missing[name] = "the job's processes are not known"
		return
	}
	sum := 0.0
	for _, p := range r.Processes {
		if !own(p.PID) {
			continue
		}
		if p.MemoryBytes == 0 {
			g.Missing[name] = "the driver does not say how much a process has"
			return
		}
		sum += float64(p.MemoryBytes)
	}
	g.Put(GPUJobMemory, sum, from)
}
