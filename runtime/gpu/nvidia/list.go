package nvidia

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// inventory is the driver and its GPUs. Each GPU is asked for itself: one that is lost, or somebody else's, is unusable alone.
func (s *session) inventory() (gpu.Inventory, error) {
	count, ret := s.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return gpu.Inventory{}, failuref(gpu.DriverBroken, "counting the GPUs: %s", plain(ret))
	}
	i := gpu.Inventory{
		Libraries: s.place.directory(), DriverRoot: s.place.named,
		UVM:  exists(s.place.device("nvidia-uvm")),
		GPUs: make([]gpu.Device, 0, count),
	}
	i.Driver, i.NVML, i.CUDA = s.versions()
	for index := range count {
		i.GPUs = append(i.GPUs, s.device(index))
	}
	return i, nil
}

// versions are those of the driver, of NVML and of CUDA.
func (s *session) versions() (driver, library, cuda string) {
	driver, _ = s.lib.SystemGetDriverVersion()
	library, _ = s.lib.SystemGetNVMLVersion()
	if n, ret := s.lib.SystemGetCudaDriverVersion(); ret == nvml.SUCCESS {
		cuda = fmt.Sprintf("%d.%d", n/1000, n%1000/10)
	}
	return driver, library, cuda
}

// device is the GPU of an index, usable or not.
func (s *session) device(index int) gpu.Device {
	d := gpu.Device{Index: index, Minor: -1}
	handle, ret := s.lib.DeviceGetHandleByIndex(index)
	if ret == nvml.SUCCESS {
		d.UUID, ret = handle.GetUUID()
	}
	if ret != nvml.SUCCESS {
		d.Unusable, d.Unreachable = plain(ret), ret == nvml.ERROR_NO_PERMISSION
		return d
	}
	ret = s.describe(handle, &d)
	if ret != nvml.SUCCESS {
		d.Unusable = plain(ret)
		return d
	}
	node := s.place.device(fmt.Sprint("nvidia", d.Minor))
	if err := openable(node); err != nil {
		d.Unusable = fmt.Sprintf("%s: %v", node, err)
		d.Unreachable = errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)
	}
	if d.MIG {
		d.Instances = s.instances(handle, d)
	}
	return d
}

// describe asks a GPU who it is. Without its minor number it cannot be used; what else is missing stays empty.
func (s *session) describe(handle nvml.Device, d *gpu.Device) nvml.Return {
	minor, ret := handle.GetMinorNumber()
	if ret != nvml.SUCCESS {
		return ret
	}
	d.Minor = minor
	d.Name, _ = handle.GetName()
	if s.has("nvmlDeviceGetCudaComputeCapability") {
		if major, minor, ret := handle.GetCudaComputeCapability(); ret == nvml.SUCCESS {
			d.Compute = fmt.Sprintf("%d.%d", major, minor)
		}
	}
	if pci, ret := handle.GetPciInfo(); ret == nvml.SUCCESS {
		d.PCI = text(pci.BusId[:])
	}
	d.MemoryBytes = s.memory(handle)
	mode, _, ret := handle.GetMigMode()
	d.MIG = ret == nvml.SUCCESS && mode == nvml.DEVICE_MIG_ENABLE
	if d.Processes, ret = s.processes(handle); isGone(ret) {
		return ret
	}
	if s.has("nvmlDeviceGetComputeMode") {
		if mode, ret := handle.GetComputeMode(); ret == nvml.SUCCESS && mode == nvml.COMPUTEMODE_PROHIBITED {
			d.Unusable = "its compute mode is Prohibited (nvidia-smi -c)"
		}
	}
	return nvml.SUCCESS
}

// memory is how much there is of it. GPUs that share the machine's have no number.
func (s *session) memory(handle nvml.Device) uint64 {
	if m, ret := handle.GetMemoryInfo(); ret == nvml.SUCCESS {
		return m.Total
	}
	return 0
}

// processes are those that compute or draw on a device, each once.
func (s *session) processes(handle nvml.Device) ([]gpu.Process, nvml.Return) {
	byPID := map[int]gpu.Process{}
	first := nvml.SUCCESS
	for _, kind := range []struct {
		symbol string
		ask    func() ([]nvml.ProcessInfo, nvml.Return)
	}{
		{"nvmlDeviceGetComputeRunningProcesses", handle.GetComputeRunningProcesses},
		{"nvmlDeviceGetGraphicsRunningProcesses", handle.GetGraphicsRunningProcesses},
	} {
		if !s.has(kind.symbol) && !s.has(kind.symbol+"_v2") && !s.has(kind.symbol+"_v3") {
			first = cmp.Or(first, nvml.ERROR_FUNCTION_NOT_FOUND)
			continue
		}
		infos, ret := kind.ask()
		first = cmp.Or(first, ret)
		for _, info := range infos {
			p := gpu.Process{PID: int(info.Pid)}
			if info.UsedGpuMemory != notAvailable {
				p.MemoryBytes = info.UsedGpuMemory
			}
			// A process that does both is in both lists with the same memory.
			if old, there := byPID[p.PID]; !there || p.MemoryBytes > old.MemoryBytes {
				byPID[p.PID] = p
			}
		}
	}
	if len(byPID) == 0 {
		return nil, first
	}
	found := make([]gpu.Process, 0, len(byPID))
	for _, p := range byPID {
		found = append(found, p)
	}
	slices.SortFunc(found, func(a, b gpu.Process) int { return cmp.Compare(a.PID, b.PID) })
	return found, first
}

// notAvailable is NVML_VALUE_NOT_AVAILABLE: a process's memory under a driver model that does not count it.
const notAvailable = ^uint64(0)

// text is a C string in an array of either sign.
func text[T int8 | uint8](array []T) string {
	var b strings.Builder
	for _, c := range array {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}
