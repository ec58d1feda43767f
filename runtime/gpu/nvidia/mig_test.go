package nvidia

import (
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// TestListMIG lists a GPU in MIG mode: an index without a device, a device whose capability is closed, and one that is lost.
func TestListMIG(t *testing.T) {
	m := newMachine(t, dgxh100.New())
	m.nodes()
	m.split(2, [2]int{7, 0}, [2]int{9, 1}, [2]int{11, 0})
	m.file("proc/driver/nvidia-caps/mig-minors", minors)
	for _, name := range []string{"nvidia-cap66", "nvidia-cap67", "nvidia-cap84"} {
		m.file("root/dev/nvidia-caps/"+name, "")
	}
	byIndex := m.gpu(2).GetMigDeviceHandleByIndexFunc
	m.gpu(2).GetMigDeviceHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		switch i {
		case 0, 1: // as they are
			return byIndex(i)
		case 2:
			return nil, nvml.ERROR_NOT_FOUND
		case 3:
			return byIndex(2)
		case 4:
			return nil, nvml.ERROR_GPU_IS_LOST
		}
		return nil, nvml.ERROR_NOT_FOUND
	}
	d := m.list().GPUs[2]
	if !d.MIG || len(d.Instances) != 4 {
		t.Fatalf("a GPU: %+v", d)
	}
	want := gpu.MIG{
		Index: 0, UUID: migUUID(2, 0), Profile: "1g.18gb", GPUInstance: 7, ComputeInstance: 0, MemoryBytes: 18 << 30,
	}
	got := d.Instances[0]
	if len(got.Processes) != 1 || got.Processes[0].PID != 4711 {
		t.Errorf("processes: %+v", got.Processes)
	}
	if got.Processes = nil; !equalMIG(got, want) {
		t.Errorf("an instance: %+v", got)
	}
	for i, why := range map[int]string{1: "nvidia-cap86: no such file", 2: "no gpu2/gi11/access", 3: "lost"} {
		if got := d.Instances[i]; !strings.Contains(got.Unusable, why) {
			t.Errorf("instance %d: %+v, want it unusable: %s", i, got, why)
		}
	}
}

func equalMIG(a, b gpu.MIG) bool {
	return a.Index == b.Index && a.UUID == b.UUID && a.Profile == b.Profile && a.GPUInstance == b.GPUInstance &&
		a.ComputeInstance == b.ComputeInstance && a.MemoryBytes == b.MemoryBytes && a.Unusable == b.Unusable
}
