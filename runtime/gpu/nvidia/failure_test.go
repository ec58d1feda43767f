package nvidia

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// kernelModule is /proc/driver/nvidia/version of two flavours.
const (
	openModule   = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  VERSION  Release Build  (dvs-builder@U16)\nGCC version:  gcc version 12.3.0\n"
	closedModule = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  VERSION  Thu Feb 22 01:44:30 UTC 2024\n"
)

func TestRefused(t *testing.T) {
	const own = "550.54.15"
	for _, tc := range []struct {
		name     string
		ret      nvml.Return
		module   string
		node     bool
		kind     gpu.FailureKind
		messages []string
	}{
		{"mismatch", nvml.ERROR_LIB_RM_VERSION_MISMATCH, "565.57.01", true, gpu.DriverBroken, []string{own, "565.57.01", "the same"}},
		{"mismatch without a name", nvml.ERROR_UNKNOWN, "565.57.01", true, gpu.DriverBroken, []string{own, "565.57.01"}},
		{"no module", nvml.ERROR_DRIVER_NOT_LOADED, "", false, gpu.DriverBroken, []string{"not loaded"}},
		{"no node", nvml.ERROR_DRIVER_NOT_LOADED, own, false, gpu.DriverBroken, []string{"nvidiactl", "no such device node", own}},
		{"not permitted", nvml.ERROR_NO_PERMISSION, own, true, gpu.NotPermitted, []string{"not permitted"}},
		{"unloadable", nvml.ERROR_LIBRARY_NOT_FOUND, own, true, gpu.DriverBroken, []string{"cannot be loaded", "libnvidia-ml.so"}},
		{"something else", nvml.ERROR_UNKNOWN, own, true, gpu.DriverBroken, []string{"driver says"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t, dgxa100.New())
			m.server.InitFunc = func() nvml.Return { return tc.ret }
			if tc.module != "" {
				m.file("proc/driver/nvidia/version", strings.ReplaceAll(openModule, "VERSION", tc.module))
			}
			if tc.node {
				m.file("root/dev/nvidiactl", "")
			}
			f := serve(t, m.options(), m.line(gpu.List))[0].Failure
			if f == nil || f.Kind != tc.kind {
				t.Fatalf("failure: %+v, want %s", f, tc.kind)
			}
			for _, want := range tc.messages {
				if !strings.Contains(f.Message, want) {
					t.Errorf("%q does not say %q", f.Message, want)
				}
			}
		})
	}
}

// TestNodeNotPermitted has nodes that the device rules of a cgroup, or their mode, close to the caller.
func TestNodeNotPermitted(t *testing.T) {
	if os.Geteuid() == 0 && !inside(t) {
		return
	}
	m := newMachine(t, dgxa100.New())
	m.nodes()
	m.file("root/dev/nvidiactl", "")
	for _, name := range []string{"nvidiactl", "nvidia2"} {
		m.close(name)
	}
	for _, d := range m.list().GPUs {
		if closed := d.Index == 2; d.Unreachable != closed || (d.Unusable != "") != closed {
			t.Errorf("GPU %d: %+v", d.Index, d)
		}
	}
	m.server.InitFunc = func() nvml.Return { return nvml.ERROR_UNKNOWN }
	f := serve(t, m.options(), m.line(gpu.List))[0].Failure
	if f == nil || f.Kind != gpu.NotPermitted || !strings.Contains(f.Message, "nvidiactl: permission denied") {
		t.Errorf("failure: %+v", f)
	}
}

// TestOldDriver has a library without a function that everybody calls.
func TestOldDriver(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	m.server.LookupSymbolFunc = func(symbol string) error {
		if strings.Contains(symbol, "Mig") {
			return os.ErrNotExist
		}
		return nil
	}
	if f := serve(t, m.options(), m.line(gpu.List))[0].Failure; f == nil || f.Kind != gpu.DriverBroken || !strings.Contains(f.Message, "450") {
		t.Errorf("failure: %+v", f)
	}
}

func TestNoDriver(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	m.root = filepath.Join(t.TempDir(), "empty")
	if f := serve(t, m.options(), m.line(gpu.List))[0].Failure; f == nil || f.Kind != gpu.NoDriver || !strings.Contains(f.Message, m.root) {
		t.Errorf("failure: %+v", f)
	}
	o := m.options()
	o.proc = t.TempDir()
	version := filepath.Join(o.proc, "driver/nvidia/version")
	if err := os.MkdirAll(filepath.Dir(version), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(version, []byte(strings.ReplaceAll(closedModule, "VERSION", "550.54.15")), 0o644); err != nil {
		t.Fatal(err)
	}
	if f := serve(t, o, m.line(gpu.List))[0].Failure; f == nil || f.Kind != gpu.NoDriver || !strings.Contains(f.Message, "550.54.15 is loaded") {
		t.Errorf("failure: %+v", f)
	}
}

func TestSpecOfWhatIsNotThere(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	m.distribution()
	m.gpu(1).IsMigDeviceHandleFunc = func() (bool, nvml.Return) { return false, nvml.ERROR_GPU_IS_LOST }
	m.gpu(2).GetMinorNumberFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_NO_PERMISSION }
	for _, tc := range []struct {
		uuid, message string
		kind          gpu.FailureKind
	}{
		{"GPU-nobody", "there is no such device", gpu.UnknownDevice},
		{m.gpu(1).UUID, "lost", gpu.UnknownDevice},
		{m.gpu(2).UUID, "not permitted", gpu.NotPermitted},
		{m.gpu(3).UUID, "nvidia3: no such device node", gpu.DriverBroken},
	} {
		f := m.ask(m.root, gpu.SpecRequest{UUIDs: []string{tc.uuid}}).Failure
		if f == nil || f.Kind != tc.kind || !strings.Contains(f.Message, tc.uuid) || !strings.Contains(f.Message, tc.message) {
			t.Errorf("%s: %+v, want %s: %s", tc.uuid, f, tc.kind, tc.message)
		}
	}
}

// TestOtherLibraries has a driver whose files are those of another version.
func TestOtherLibraries(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	m.server.DriverVersion = "565.57.01"
	f := m.ask(m.root, gpu.SpecRequest{}).Failure
	if f == nil || f.Kind != gpu.DriverBroken || !strings.Contains(f.Message, "565.57.01") {
		t.Errorf("failure: %+v", f)
	}
}

func replaceVersion(text string) string { return strings.ReplaceAll(text, "VERSION", "565.57.01") }
