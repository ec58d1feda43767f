package nvidia

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxb200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
	"tags.cncf.io/container-device-interface/specs-go"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// driverFiles are what a driver installs, as paths from its root; VERSION is replaced.
var driverFiles = strings.Fields(`
	LIB/libcuda.so.VERSION LIB/libnvidia-ptxjitcompiler.so.VERSION LIB/libnvidia-opencl.so.VERSION LIB/libnvidia-encode.so.VERSION
	LIB/libnvidia-ngx.so.VERSION LIB/libGLX_nvidia.so.VERSION LIB/libnvidia-allocator.so.VERSION LIB/libnvidia-new.so.VERSION
	LIB/vdpau/libvdpau_nvidia.so.VERSION
	BIN/nvidia-smi BIN/nvidia-cuda-mps-server BIN/nvidia-xconfig SHARE/glvnd/egl_vendor.d/10_nvidia.json SHARE/vulkan/icd.d/nvidia_icd.json`)

// install puts a driver's files below a directory of a machine.
func (m *machine) install(lib, bin, share string) {
	replace := strings.NewReplacer("LIB", lib, "BIN", bin, "SHARE", share, "VERSION", m.server.DriverVersion)
	for _, name := range driverFiles {
		m.file(replace.Replace(name), "")
	}
}

// distribution installs a driver as packages do.
func (m *machine) distribution() {
	m.install("root/usr/lib64", "root/usr/bin", "root/usr/share")
	m.file("root/run/nvidia-persistenced/socket", "")
	m.file("root/lib/firmware/nvidia/"+m.server.DriverVersion+"/gsp_ga10x.bin", "")
}

// wholeDriver are the nodes that stand for no GPU.
var wholeDriver = []string{"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"}

// ask asks for a specification.
func (m *machine) ask(root string, r gpu.SpecRequest) gpu.Reply {
	m.t.Helper()
	raw, err := json.Marshal(gpu.Request{Protocol: gpu.Protocol, Op: gpu.Spec, DriverRoot: root, Spec: &r})
	if err != nil {
		m.t.Fatal(err)
	}
	return serve(m.t, m.options(), string(raw))[0]
}

// edits asks for a specification and returns the edits of its one device.
func (m *machine) edits(r gpu.SpecRequest) specs.ContainerEdits {
	m.t.Helper()
	return edits(m.t, m.ask(m.root, r))
}

func edits(t *testing.T, r gpu.Reply) specs.ContainerEdits {
	t.Helper()
	if r.Failure != nil {
		t.Fatalf("spec: %+v", r.Failure)
	}
	var spec specs.Spec
	if err := json.Unmarshal(r.CDI, &spec); err != nil {
		t.Fatal(err)
	}
	if len(spec.Devices) != 1 || spec.Devices[0].Name != "all" {
		t.Fatalf("devices: %+v", spec.Devices)
	}
	return spec.Devices[0].ContainerEdits
}

// golden compares a specification with a file.
func (m *machine) golden(name string, r gpu.Reply) {
	m.t.Helper()
	if r.Failure != nil {
		m.t.Fatalf("spec: %+v", r.Failure)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, r.CDI, "", "  "); err != nil {
		m.t.Fatal(err)
	}
	got := strings.NewReplacer(m.root, "ROOT", filepath.Dir(m.root), "DIR", `"`+findLdconfig()+`"`, `"LDCONFIG"`).Replace(out.String()) + "\n"
	for _, w := range r.Warnings {
		got += "warning: " + strings.ReplaceAll(w, m.root, "ROOT") + "\n"
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	if got != string(want) {
		m.t.Errorf("%s differs:\n%s", path, difference(string(want), got))
	}
}

// difference are the lines that one of two texts has alone.
func difference(want, got string) string {
	var b strings.Builder
	wanted, have := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range wanted {
		if !slices.Contains(have, line) {
			fmt.Fprintf(&b, "- %s\n", line)
		}
	}
	for _, line := range have {
		if !slices.Contains(wanted, line) {
			fmt.Fprintf(&b, "+ %s\n", line)
		}
	}
	if b.Len() == 0 {
		return got
	}
	return b.String()
}

// split turns a GPU's MIG mode on and gives it a device for each pair of instances.
func (m *machine) split(index int, instances ...[2]int) {
	d := m.gpu(index)
	d.MigMode = nvml.DEVICE_MIG_ENABLE
	d.GetMaxMigDeviceCountFunc = func() (int, nvml.Return) { return 7, nvml.SUCCESS }
	var devices []*mock.Device
	for i, ids := range instances {
		devices = append(devices, migDevice(d, i, ids[0], ids[1]))
	}
	d.GetMigDeviceHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i >= len(devices) {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return devices[i], nvml.SUCCESS
	}
	lookUp := m.server.DeviceGetHandleByUUIDFunc
	m.server.DeviceGetHandleByUUIDFunc = func(uuid string) (nvml.Device, nvml.Return) {
		for _, mig := range devices {
			if own, _ := mig.GetUUID(); own == uuid {
				return mig, nvml.SUCCESS
			}
		}
		return lookUp(uuid)
	}
}

// migUUID is the name of a MIG device.
func migUUID(parent, index int) string {
	return fmt.Sprintf("MIG-00000000-0000-4000-8%03d-%012d", index, parent)
}

func migDevice(parent *server.Device, index, gi, ci int) *mock.Device {
	return &mock.Device{
		IsMigDeviceHandleFunc: func() (bool, nvml.Return) { return true, nvml.SUCCESS },
		GetUUIDFunc:           func() (string, nvml.Return) { return migUUID(parent.Index, index), nvml.SUCCESS },
		GetNameFunc:           func() (string, nvml.Return) { return parent.Config.Name + " MIG 1g.18gb", nvml.SUCCESS },
		GetGpuInstanceIdFunc:  func() (int, nvml.Return) { return gi, nvml.SUCCESS },
		GetComputeInstanceIdFunc: func() (int, nvml.Return) {
			return ci, nvml.SUCCESS
		},
		GetDeviceHandleFromMigDeviceHandleFunc: func() (nvml.Device, nvml.Return) { return parent, nvml.SUCCESS },
		GetMemoryInfoFunc:                      func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 18 << 30}, nvml.SUCCESS },
		GetMemoryInfo_v2Func: func() (nvml.Memory_v2, nvml.Return) {
			return nvml.Memory_v2{Total: 18 << 30, Used: 1 << 30}, nvml.SUCCESS
		},
		GetComputeRunningProcessesFunc: func() ([]nvml.ProcessInfo, nvml.Return) {
			return []nvml.ProcessInfo{{Pid: 4711, UsedGpuMemory: 1 << 20}}, nvml.SUCCESS
		},
		GetGraphicsRunningProcessesFunc: func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.SUCCESS },
	}
}

// minors are the nodes of the instances of GPU 2 that [TestSpecs] uses.
const minors = "config 1\nmonitor 2\ngpu2/gi7/access 66\ngpu2/gi7/ci0/access 67\ngpu2/gi9/access 84\ngpu2/gi9/ci1/access 86\n"

// TestSpecs compares whole specifications.
func TestSpecs(t *testing.T) {
	if !inside(t) {
		return
	}
	t.Run("A100", func(t *testing.T) {
		m := newMachine(t, dgxa100.New())
		m.distribution()
		m.charDevices(append(wholeDriver, "nvidia0")...)
		m.golden("a100.json", m.ask(m.root, gpu.SpecRequest{UUIDs: []string{m.gpu(0).UUID}}))
	})
	t.Run("H100, all there is, in an order", func(t *testing.T) {
		m := newMachine(t, dgxh100.New())
		m.distribution()
		m.charDevices(append(wholeDriver, "nvidia3", "nvidia1")...)
		m.golden("h100-all.json", m.ask(m.root, gpu.SpecRequest{
			UUIDs: []string{m.gpu(3).UUID, m.gpu(1).UUID}, Capabilities: []string{"all"}, CUDACompat: gpu.CompatForce,
		}))
	})
	t.Run("H200, MIG", func(t *testing.T) {
		m := newMachine(t, dgxh200.New())
		m.distribution()
		m.split(2, [2]int{7, 0}, [2]int{9, 1})
		m.file("proc/driver/nvidia-caps/mig-minors", minors)
		m.charDevices(append(wholeDriver, "nvidia2", "nvidia-caps/nvidia-cap66", "nvidia-caps/nvidia-cap67", "nvidia-caps/nvidia-cap84", "nvidia-caps/nvidia-cap86")...)
		m.golden("h200-mig.json", m.ask(m.root, gpu.SpecRequest{UUIDs: []string{migUUID(2, 1)}, CUDACompat: gpu.CompatAuto}))
	})
	t.Run("B200, in a directory of its own", func(t *testing.T) {
		m := newMachine(t, dgxb200.New())
		m.file("own/lib64/libnvidia-ml.so."+m.server.DriverVersion, "")
		m.link("libnvidia-ml.so."+m.server.DriverVersion, "own/lib64/libnvidia-ml.so.1")
		m.install("own/lib64", "own/bin", "own/share")
		m.charDevices("nvidiactl", "nvidia7")
		m.golden("b200-own.json", m.ask(m.path("own"), gpu.SpecRequest{
			UUIDs: []string{m.gpu(7).UUID}, Capabilities: []string{"utility", "compute", "graphics"}, CUDACompat: gpu.CompatOff,
		}))
	})
}
