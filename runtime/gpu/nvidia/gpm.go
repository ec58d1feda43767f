package nvidia

import (
	"math"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// gpm reads the performance counters that Hopper and later GPUs keep for everybody (GPU Performance Monitoring). A number is what lies
// between two samples, so the last one is kept until the next request. It works on MIG devices.
type gpm struct {
	why  string // there is none
	lib  nvml.Interface
	take func(nvml.GpmSample) nvml.Return

	last, next nvml.GpmSample
	taken      time.Time // of last; zero: none
}

// gpmApart is how far apart two samples have to be at least (nvml.h, nvmlGpmMetricsGet).
const gpmApart = 100 * time.Millisecond

// gpmMetrics are what is asked for, in percent.
var gpmMetrics = [...]nvml.GpmMetricId{nvml.GPM_METRIC_SM_UTIL, nvml.GPM_METRIC_ANY_TENSOR_UTIL, nvml.GPM_METRIC_DRAM_BW_UTIL}

// newGPM finds out once whether a device has the counters.
func (s *session) newGPM(w *watched) *gpm {
	whole := w.handle
	if w.mig {
		whole = w.parent
	}
	for _, symbol := range []string{"nvmlGpmQueryDeviceSupport", "nvmlGpmSampleAlloc", "nvmlGpmSampleGet", "nvmlGpmMigSampleGet", "nvmlGpmMetricsGet"} {
		if !s.has(symbol) {
			return &gpm{why: notKnown}
		}
	}
	if support, ret := whole.GpmQueryDeviceSupport(); ret != nvml.SUCCESS || support.IsSupportedDevice == 0 {
		return &gpm{why: "not supported by this device"}
	}
	g := &gpm{lib: s.lib, take: w.handle.GpmSampleGet}
	if w.mig {
		g.take = func(sample nvml.GpmSample) nvml.Return { return whole.GpmMigSampleGet(w.gi, sample) }
	}
	var ret nvml.Return
	if g.last, ret = s.lib.GpmSampleAlloc(); ret != nvml.SUCCESS {
		return &gpm{why: plain(ret)}
	}
	if g.next, ret = s.lib.GpmSampleAlloc(); ret != nvml.SUCCESS {
		g.close()
		return &gpm{why: plain(ret)}
	}
	return g
}

func (g *gpm) close() {
	for _, sample := range []nvml.GpmSample{g.last, g.next} {
		if sample != nil {
			_ = sample.Free() // nobody asks again
		}
	}
	g.last, g.next = nil, nil
}

// read are the parts of the time since the last reading, nil for one that the device has not; or why there are none yet.
func (g *gpm) read(now time.Time) (values [len(gpmMetrics)]*float64, why string) {
	if !g.taken.IsZero() && now.Sub(g.taken) < gpmApart {
		return values, "the last reading is less than 0.1 s ago"
	}
	if ret := g.take(g.next); ret != nvml.SUCCESS {
		return values, plain(ret)
	}
	first := g.taken.IsZero()
	g.last, g.next, g.taken = g.next, g.last, now
	if first {
		return values, needsSecond
	}
	query := &nvml.GpmMetricsGetType{NumMetrics: uint32(len(gpmMetrics)), Sample1: g.next, Sample2: g.last}
	for i, id := range gpmMetrics {
		query.Metrics[i].MetricId = uint32(id)
	}
	if ret := g.lib.GpmMetricsGet(query); ret != nvml.SUCCESS {
		return values, plain(ret)
	}
	for i := range gpmMetrics {
		m := query.Metrics[i]
		if nvml.Return(m.NvmlReturn) == nvml.SUCCESS && !math.IsNaN(m.Value) && !math.IsInf(m.Value, 0) {
			part := m.Value / 100
			values[i] = &part
		}
	}
	return values, ""
}
