package nvidia

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// instances are the MIG devices of a GPU.
func (s *session) instances(parent nvml.Device, d gpu.Device) []gpu.MIG {
	most, ret := parent.GetMaxMigDeviceCount()
	if ret != nvml.SUCCESS {
		return nil
	}
	caps := migMinors(s.proc)
	var found []gpu.MIG
	for index := range most {
		handle, ret := parent.GetMigDeviceHandleByIndex(index)
		if ret == nvml.ERROR_NOT_FOUND || ret == nvml.ERROR_INVALID_ARGUMENT {
			continue // the indices have holes
		}
		m := gpu.MIG{Index: index}
		if ret == nvml.SUCCESS {
			m.UUID, ret = handle.GetUUID()
		}
		if ret == nvml.SUCCESS {
			m.GPUInstance, m.ComputeInstance, ret = instanceIDs(handle)
		}
		if ret != nvml.SUCCESS {
			m.Unusable = plain(ret)
			found = append(found, m)
			continue
		}
		m.Profile = profile(handle)
		m.MemoryBytes = s.memory(handle)
		m.Processes, _ = s.processes(handle)
		m.Unusable = s.capsRefused(caps, d.Minor, m)
		found = append(found, m)
	}
	return found
}

func instanceIDs(mig nvml.Device) (gi, ci int, ret nvml.Return) {
	if gi, ret = mig.GetGpuInstanceId(); ret != nvml.SUCCESS {
		return 0, 0, ret
	}
	ci, ret = mig.GetComputeInstanceId()
	return gi, ci, ret
}

// profile is the last word of a MIG device's name: "NVIDIA H100 80GB HBM3 MIG 1g.10gb". The way over the instance's handles is for
// privileged users alone (nvml.h, nvmlDeviceGetGpuInstanceById).
func profile(mig nvml.Device) string {
	name, ret := mig.GetName()
	if ret != nvml.SUCCESS {
		return ""
	}
	_, short, ok := strings.Cut(name, " MIG ")
	if !ok {
		return ""
	}
	return short
}

// capsRefused says why the nodes that stand for the right to use an instance cannot be opened, "" when they can.
func (s *session) capsRefused(caps map[string]int, minor int, m gpu.MIG) string {
	nodes, err := s.capNodes(caps, minor, m.GPUInstance, m.ComputeInstance)
	if err != nil {
		return err.Error()
	}
	for _, node := range nodes {
		if err := openableToRead(node); err != nil {
			return fmt.Sprintf("%s: %v", node, err)
		}
	}
	return ""
}

// capNodes are the two nodes of a MIG device: that of the GPU instance and that of the compute instance.
func (s *session) capNodes(caps map[string]int, minor, gi, ci int) ([]string, error) {
	var nodes []string
	for _, name := range []string{
		fmt.Sprintf("gpu%d/gi%d/access", minor, gi),
		fmt.Sprintf("gpu%d/gi%d/ci%d/access", minor, gi, ci),
	} {
		n, ok := caps[name]
		if !ok {
			return nil, fmt.Errorf("%s has no %s", filepath.Join(s.proc, minorsFile), name)
		}
		nodes = append(nodes, s.place.device(fmt.Sprintf("nvidia-caps/nvidia-cap%d", n)))
	}
	return nodes, nil
}

const minorsFile = "driver/nvidia-caps/mig-minors"

// migMinors reads which node stands for which capability: lines of a name and a number. Without the file there is no MIG.
func migMinors(proc string) map[string]int {
	f, err := os.Open(filepath.Join(proc, minorsFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	minors := map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var name string
		var minor int
		if n, _ := fmt.Sscanf(lines.Text(), "%s %d", &name, &minor); n == 2 {
			minors[name] = minor
		}
	}
	return minors
}
