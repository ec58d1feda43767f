package nvidia

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxb200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

// nodes makes the device nodes of a machine, as plain files: they can be opened.
func (m *machine) nodes() {
	for i := range m.server.Devices {
		m.file(filepath.Join("root/dev", "nvidia"+string(rune('0'+i))), "")
	}
}

func TestList(t *testing.T) {
	for _, tc := range []struct {
		name                string
		server              *server.Server
		gpu, cuda, compute  string
		gigabytes           uint64
		driver, nvmlVersion string
	}{
		{"A100", dgxa100.New(), "Mock NVIDIA A100-SXM4-40GB", "12.4", "8.0", 40, "550.54.15", "12.550.54.15"},
		{"H100", dgxh100.New(), "NVIDIA H100 80GB HBM3", "12.4", "9.0", 80, "550.54.15", "12.550.54.15"},
		{"H200", dgxh200.New(), "NVIDIA H200 141GB HBM3e", "12.4", "9.0", 141, "550.54.15", "12.550.54.15"},
		{"B200", dgxb200.New(), "NVIDIA B200 180GB HBM3e", "12.6", "10.0", 180, "560.28.03", "12.560.28.03"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t, tc.server)
			m.nodes()
			i := m.list()
			if i.Driver != tc.driver || i.NVML != tc.nvmlVersion || i.CUDA != tc.cuda || i.UVM {
				t.Errorf("driver %s, NVML %s, CUDA %s, UVM %v", i.Driver, i.NVML, i.CUDA, i.UVM)
			}
			if i.DriverRoot != m.root || i.Libraries != filepath.Join(m.root, "usr/lib64") {
				t.Errorf("driver root %s, libraries %s", i.DriverRoot, i.Libraries)
			}
			if len(i.GPUs) != 8 {
				t.Fatalf("%d GPUs", len(i.GPUs))
			}
			d := i.GPUs[3]
			if d.Index != 3 || d.Minor != 3 || d.UUID != m.gpu(3).UUID || d.PCI != "00000000:13:00.0" || d.Unusable != "" {
				t.Errorf("a GPU: %+v", d)
			}
			if d.Name != tc.gpu || d.Compute != tc.compute || d.MemoryBytes>>30 != tc.gigabytes || d.MIG {
				t.Errorf("a GPU: %+v", d)
			}
		})
	}
}

// TestListWithoutSome has GPUs that cannot be used between others.
func TestListWithoutSome(t *testing.T) {
	m := newMachine(t, dgxh100.New())
	m.nodes()
	handle := m.server.DeviceGetHandleByIndexFunc
	m.server.DeviceGetHandleByIndexFunc = func(index int) (nvml.Device, nvml.Return) {
		switch index {
		case 1:
			return nil, nvml.ERROR_GPU_IS_LOST
		case 2:
			return nil, nvml.ERROR_NO_PERMISSION
		}
		return handle(index)
	}
	m.gpu(3).GetUUIDFunc = func() (string, nvml.Return) { return "", nvml.ERROR_GPU_IS_LOST }
	m.gpu(4).GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_GPU_IS_LOST }
	m.gpu(6).GetComputeModeFunc = func() (nvml.ComputeMode, nvml.Return) { return nvml.COMPUTEMODE_PROHIBITED, nvml.SUCCESS }
	if err := os.Remove(m.path("root/dev/nvidia5")); err != nil {
		t.Fatal(err)
	}
	usable, unreachable := "", ""
	for _, d := range m.list().GPUs {
		if d.Unusable == "" {
			usable += string(rune('0' + d.Index))
		}
		if d.Unreachable {
			unreachable += string(rune('0' + d.Index))
		}
	}
	if usable != "07" || unreachable != "25" {
		t.Errorf("usable %s, unreachable %s", usable, unreachable)
	}
}
