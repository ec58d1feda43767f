package measure

import (
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
)

// TestWatched: devices are watched by the numbers that the job has for them, and a watcher of none is none.
func TestWatched(t *testing.T) {
	m := &measuredGPUs{devices: []record.GPU{{Vendor: "nvidia", UUID: "GPU-a"}, {Index: 1, Vendor: "nvidia", UUID: "GPU-b"}, {Index: 2, Vendor: "amd", UUID: "GPU-12ab"}}}
	m.add(metrics.GPUOptions{Watcher: sysfs.NewWatcher(nil), From: metrics.FromSysfs, UUIDs: []string{"GPU-12ab"}})
	m.add(metrics.GPUOptions{Watcher: sysfs.NewWatcher(nil), From: metrics.FromSysfs})
	if len(m.watchers) != 1 || len(m.watchers[0].UUIDs) != 1 || m.watchers[0].Indices[0] != 2 {
		t.Errorf("%+v", m.watchers)
	}
}

// TestGPUResult: a number that was not measured is not in the record, and a source is named for each that was.
func TestGPUResult(t *testing.T) {
	m := &measuredGPUs{devices: []record.GPU{{Index: 0, MemoryBytes: 1000}, {Index: 1}}, trouble: "it died"}
	one := &metrics.GPUSummary{Seconds: 10, Missing: map[string]string{"utilization": "MIG"}}
	one.Peaks.Put(metrics.GPUMemory, 900, metrics.FromNVML)
	one.Last.Put(metrics.GPUEnergy, 12.3456, metrics.FromPower)
	r := record.Result{Sources: map[string]string{}}
	m.result(map[int]*metrics.GPUSummary{0: one}, &r)
	u := r.GPUUse["0"]
	if len(r.GPUUse) != 1 || u.Utilization != nil || u.PowerWatts != nil || u.JobMemoryBytes != nil || *u.MemoryBytes != 900 || *u.EnergyJoules != 12.346 || u.Missing["utilization"] != "MIG" || u.Throttled != nil {
		t.Errorf("%+v", u)
	}
	if r.GPUError != "it died" || *r.Totals.GPUEnergyJoules != 12.346 || *r.Peaks.GPUMemoryBytes != 900 {
		t.Errorf("%+v", r)
	}
	if len(r.Sources) != 2 || r.Sources["gpu_use.0.memory_bytes"] != "nvml" || r.Sources["gpu_use.0.energy_joules"] != "power" {
		t.Errorf("%v", r.Sources)
	}
	e := m.evidence(r)
	if len(e) != 2 || e[0].Peak != 900 || e[0].Own != 0 || e[0].Total != 1000 || e[1].Peak != 0 {
		t.Errorf("%+v", e)
	}
	var none *measuredGPUs
	none.result(nil, &r)
	if none.evidence(r) != nil || strings.Contains(r.GPUError, "none") || none.open(nil, r.Started) != nil {
		t.Error("a job without GPUs")
	}
}
