package nvidia

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/runtime/gpu"
)

// machine is a directory with a driver's files, and a library that answers.
type machine struct {
	t      *testing.T
	root   string // of the file system that the driver is in
	proc   string
	server *server.Server
}

// newMachine gives the GPUs of a server names that stay the same.
func newMachine(t *testing.T, s *server.Server) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, root: filepath.Join(dir, "root"), proc: filepath.Join(dir, "proc"), server: s}
	t.Setenv("PATH", os.Getenv("PATH")) // Serve sets it
	m.file("root/usr/lib64/libnvidia-ml.so."+s.DriverVersion, "")
	m.link("libnvidia-ml.so."+s.DriverVersion, "root/usr/lib64/libnvidia-ml.so.1")
	for i := range s.Devices {
		answerAll(m.gpu(i))
	}
	return m
}

// gpu is one of the server's.
func (m *machine) gpu(index int) *server.Device {
	d, ok := m.server.Devices[index].(*server.Device)
	if !ok {
		m.t.Fatalf("GPU %d is of another kind", index)
	}
	return d
}

func (m *machine) path(name string) string { return filepath.Join(filepath.Dir(m.root), name) }

func (m *machine) file(name, text string) {
	m.t.Helper()
	path := m.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	need.Program(m.t, path, text)
}

func (m *machine) link(target, name string) {
	m.t.Helper()
	if err := os.Symlink(target, m.path(name)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) options() Options {
	return Options{Self: "/opt/coracle/bin/coracle-nvidia", proc: m.proc, dev: m.root, load: func(string) nvml.Interface { return m.server }}
}

// line is a request.
func (m *machine) line(op gpu.Op, uuids ...string) string {
	m.t.Helper()
	raw, err := json.Marshal(gpu.Request{Protocol: gpu.Protocol, Op: op, DriverRoot: m.root, UUIDs: uuids})
	if err != nil {
		m.t.Fatal(err)
	}
	return string(raw)
}

// list asks for the inventory.
func (m *machine) list() gpu.Inventory {
	m.t.Helper()
	r := serve(m.t, m.options(), m.line(gpu.List))[0]
	if r.Failure != nil {
		m.t.Fatalf("list: %+v", r.Failure)
	}
	return *r.Inventory
}

// answerAll fills in what the mock of a GPU has no answer to, and makes its names follow from its index.
func answerAll(d *server.Device) {
	d.UUID = fmt.Sprintf("GPU-00000000-0000-4000-8000-%012d", d.Index)
	d.IsMigDeviceHandleFunc = func() (bool, nvml.Return) { return false, nvml.SUCCESS }
	d.GetComputeModeFunc = func() (nvml.ComputeMode, nvml.Return) { return nvml.COMPUTEMODE_DEFAULT, nvml.SUCCESS }
	d.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.SUCCESS }
	d.GetGraphicsRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.SUCCESS }
	d.GetMemoryInfo_v2Func = func() (nvml.Memory_v2, nvml.Return) {
		return nvml.Memory_v2{Total: d.MemoryInfo.Total, Used: 3 << 30}, nvml.SUCCESS
	}
	d.GetPciInfoFunc = func() (nvml.PciInfo, nvml.Return) {
		var info nvml.PciInfo
		for i, c := range fmt.Sprintf("00000000:%02X:00.0", 0x10+d.Index) {
			setByte(info.BusId[:], i, byte(c))
		}
		return info, nvml.SUCCESS
	}
}

// setByte stores a character; which sign an array of them has depends on the processor.
func setByte[T int8 | uint8](array []T, i int, c byte) { array[i] = T(c) }
