package job

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// TestFiled: GPUs that came by --device are numbered after NVIDIA's, and are watched by their files.
func TestFiled(t *testing.T) {
	root := t.TempDir()
	device := filepath.Join(root, "sys/class/drm/card1/device")
	for name, text := range map[string]string{"vendor": "0x1002", "unique_id": "12ab", "product_name": "MI210", "mem_info_vram_total": "1000", "gpu_busy_percent": "50", "drm/renderD128/x": ""} {
		path := filepath.Join(device, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := devices{found: spec.Devices{Nodes: []spec.Node{{Source: "/dev/kfd", Target: "/dev/kfd"}, {Source: "/dev/dri/renderD128", Target: "/dev/dri/renderD130"}}}}
	filed := d.filed(sysfs.Tree{Root: root})
	list := filedRecords(filed, 2)
	if len(list) != 1 || list[0] != (record.GPU{Index: 2, Vendor: "amd", UUID: "GPU-12ab", Name: "MI210", MemoryBytes: 1000}) {
		t.Fatalf("%+v", list)
	}
	m := &measuredGPUs{devices: append([]record.GPU{{Vendor: "nvidia", UUID: "GPU-a"}, {Index: 1, Vendor: "nvidia", UUID: "GPU-b"}}, list...)}
	m.add(sysfs.NewWatcher(filed), metrics.FromSysfs, filedUUIDs(filed))
	m.add(sysfs.NewWatcher(nil), metrics.FromSysfs, nil)
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
	if len(e) != 2 || e[0].peak != 900 || e[0].own != 0 || e[0].total != 1000 || e[1].peak != 0 {
		t.Errorf("%+v", e)
	}
	var none *measuredGPUs
	none.result(nil, &r)
	if none.evidence(r) != nil || strings.Contains(r.GPUError, "none") || none.open(nil, r.Started) != nil {
		t.Error("a job without GPUs")
	}
}
