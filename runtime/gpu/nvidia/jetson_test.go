package nvidia

import (
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// jetson puts the files of a Jetson's own software into a machine, and no NVML.
func (m *machine) jetson() {
	const files = "root/etc/nvidia-container-runtime/host-files-for-container.d/"
	m.file(files+"devices.csv", "dev, /dev/nvhost-ctrl-gpu\ndev, /dev/nvmap\ndev, /dev/not-on-this-board\n")
	m.file(files+"drivers.csv", strings.Join([]string{
		"lib, /usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1", "sym, /usr/lib/aarch64-linux-gnu/nvidia/libcuda.so",
		"lib, /usr/lib/aarch64-linux-gnu/nvidia/libnvidia-encode.so.1", "dir, /usr/share/nvpmodel",
	}, "\n")+"\n")
	m.file("root/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1", "")
	m.file("root/usr/lib/aarch64-linux-gnu/nvidia/libnvidia-encode.so.1", "")
	m.link("libcuda.so.1.1", "root/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so")
	m.file("root/usr/share/nvpmodel/modes", "")
	m.server.InitFunc = func() nvml.Return { return nvml.ERROR_LIBRARY_NOT_FOUND }
}

func TestJetson(t *testing.T) {
	if !inside(t) {
		return
	}
	m := newMachine(t, dgxa100.New())
	m.jetson()
	m.charDevices("nvhost-ctrl-gpu", "nvmap")
	m.golden("jetson.json", m.ask(m.root, gpu.SpecRequest{Jetson: true, UUIDs: []string{"0"}}))
}

func TestNoJetson(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	if f := m.ask(m.root, gpu.SpecRequest{Jetson: true}).Failure; f == nil || f.Kind != gpu.NoDriver || !strings.Contains(f.Message, "no Jetson") {
		t.Errorf("failure: %+v", f)
	}
	m.jetson()
	if f := m.ask(m.root, gpu.SpecRequest{Jetson: true}).Failure; f == nil || f.Kind != gpu.DriverBroken || !strings.Contains(f.Message, "device nodes") {
		t.Errorf("failure: %+v", f)
	}
}
