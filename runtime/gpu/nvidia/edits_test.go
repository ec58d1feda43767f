package nvidia

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"golang.org/x/sys/unix"
	"tags.cncf.io/container-device-interface/specs-go"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// hookNames are those of the hooks, in their order.
func hookNames(e specs.ContainerEdits) string {
	var names []string
	for _, h := range e.Hooks {
		names = append(names, h.Args[2])
	}
	return strings.Join(names, " ")
}

// TestCompat gives CUDA's compatibility libraries a chance where they work, or where the user says so.
func TestCompat(t *testing.T) {
	if !inside(t) {
		return
	}
	m := newMachine(t, dgxa100.New())
	m.distribution()
	m.charDevices(append(wholeDriver, "nvidia0", "nvidia1")...)
	m.gpu(1).GetBrandFunc = func() (nvml.BrandType, nvml.Return) { return nvml.BRAND_GEFORCE, nvml.SUCCESS }
	dataCentre, gamer := m.gpu(0).UUID, m.gpu(1).UUID
	const always = "create-symlinks update-ldcache"
	for _, tc := range []struct {
		compat gpu.Compat
		uuids  []string
		want   string
	}{
		{"", []string{dataCentre}, "create-symlinks enable-cuda-compat update-ldcache"},
		{gpu.CompatAuto, []string{dataCentre}, "create-symlinks enable-cuda-compat update-ldcache"},
		{gpu.CompatAuto, []string{dataCentre, gamer}, always},
		{gpu.CompatAuto, nil, "create-symlinks enable-cuda-compat update-ldcache"},
		{gpu.CompatOff, []string{dataCentre}, always},
		{gpu.CompatForce, []string{gamer}, "force-cuda-compat " + always},
	} {
		e := m.edits(gpu.SpecRequest{UUIDs: tc.uuids, CUDACompat: tc.compat, Capabilities: []string{"compute"}})
		if got := hookNames(e); got != tc.want {
			t.Errorf("%q for %v: %s", tc.compat, tc.uuids, got)
		}
	}
}

// TestDriverAlone asks for no GPU: the nodes that stand for none, and nothing to compute on.
func TestDriverAlone(t *testing.T) {
	if !inside(t) {
		return
	}
	m := newMachine(t, dgxa100.New())
	m.distribution()
	m.charDevices("nvidiactl", "nvidia0")
	r := m.ask(m.root, gpu.SpecRequest{Capabilities: []string{"compute", "utility", "warp"}})
	e := edits(t, r)
	if len(e.DeviceNodes) != 1 || e.DeviceNodes[0].Path != "/dev/nvidiactl" {
		t.Errorf("nodes: %+v", e.DeviceNodes)
	}
	if !slices.Contains(e.Env, "NVIDIA_VISIBLE_DEVICES=void") {
		t.Errorf("environment: %v", e.Env)
	}
	for _, want := range []string{"no such capability: warp", "nvidia-uvm is not there"} {
		if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("nobody is warned that %s: %v", want, r.Warnings)
		}
	}
}

// TestLibraries32 has a driver with libraries for 32-bit programs beside others in the same directory.
func TestLibraries32(t *testing.T) {
	if !inside(t) {
		return
	}
	m := newMachine(t, dgxa100.New())
	m.distribution()
	m.charDevices(wholeDriver...)
	version := m.server.DriverVersion
	header := append([]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS32), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}, make([]byte, 45)...)
	header[16], header[18], header[20], header[40] = byte(elf.ET_DYN), byte(elf.EM_386), byte(elf.EV_CURRENT), 52
	for name, text := range map[string]string{
		"libcuda": string(header), "libnvidia-encode": string(header), "libnvidia-other": "no library",
	} {
		m.file("root/usr/lib/"+name+".so."+version, text)
	}
	for capability, want := range map[string]string{"compute,compat32": "/usr/lib/libcuda.so." + version, "compute": ""} {
		e := m.edits(gpu.SpecRequest{Capabilities: strings.Split(capability, ",")})
		var got []string
		for _, mount := range e.Mounts {
			if filepath.Dir(mount.ContainerPath) == "/usr/lib" {
				got = append(got, mount.ContainerPath)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", capability, got)
		}
		cache := e.Hooks[len(e.Hooks)-1]
		if there := slices.Contains(cache.Args, "/usr/lib"); there != (want != "") || !slices.Contains(cache.Args, "/usr/lib64") {
			t.Errorf("%s: the loader's directories: %v", capability, cache.Args)
		}
	}
}

// TestMakesUVM has NVIDIA's setuid program make the node that is missing, and never a program that is not setuid.
func TestMakesUVM(t *testing.T) {
	if !inside(t) {
		return
	}
	for name, tc := range map[string]struct {
		mode os.FileMode
		want bool
	}{"setuid": {0o755 | os.ModeSetuid, true}, "not setuid": {0o755, false}} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, dgxa100.New())
			m.file("own/lib64/libnvidia-ml.so."+m.server.DriverVersion, "")
			m.link("libnvidia-ml.so."+m.server.DriverVersion, "own/lib64/libnvidia-ml.so.1")
			m.install("own/lib64", "own/bin", "own/share")
			m.charDevices("nvidiactl")
			node, program := m.path("root/dev/nvidia-uvm"), m.path("own/bin/nvidia-modprobe")
			m.file("own/bin/nvidia-modprobe", fmt.Sprintf("#!/bin/sh\n[ \"$*\" = '-c 0 -u' ] && : >%[1]s && mount --bind /dev/null %[1]s\n", node))
			if err := os.Chmod(program, tc.mode); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(node, unix.MNT_DETACH) }) // it may not be one
			r := m.ask(m.path("own"), gpu.SpecRequest{})
			e := edits(t, r)
			made := slices.ContainsFunc(e.DeviceNodes, func(n *specs.DeviceNode) bool { return n.Path == "/dev/nvidia-uvm" })
			if made != tc.want || (len(r.Warnings) == 0) != tc.want {
				t.Errorf("the node is there: %v, warnings: %v", made, r.Warnings)
			}
		})
	}
}

// TestMIGWithoutCapability has a MIG device whose nodes are not there.
func TestMIGWithoutCapability(t *testing.T) {
	if !inside(t) {
		return
	}
	m := newMachine(t, dgxa100.New())
	m.distribution()
	m.split(2, [2]int{7, 0}, [2]int{11, 0})
	m.file("proc/driver/nvidia-caps/mig-minors", minors)
	m.charDevices("nvidiactl", "nvidia2", "nvidia-caps/nvidia-cap66")
	for uuid, want := range map[string]string{migUUID(2, 0): "nvidia-cap67: no such device node", migUUID(2, 1): "no gpu2/gi11/access"} {
		f := m.ask(m.root, gpu.SpecRequest{UUIDs: []string{uuid}}).Failure
		if f == nil || f.Kind != gpu.DriverBroken || !strings.Contains(f.Message, want) {
			t.Errorf("%s: %+v, want %s", uuid, f, want)
		}
	}
}

// TestFinishKeepsNothingOfOthers has a generator that names programs, groups and owners of its own.
func TestFinishKeepsNothingOfOthers(t *testing.T) {
	group := uint32(44)
	f := finisher{self: "/opt/helper", wanted: capabilities{compute: true, utility: true}, root: "/"}
	raw, err := f.finish(&specs.ContainerEdits{
		AdditionalGIDs: []uint32{group},
		DeviceNodes: []*specs.DeviceNode{
			{Path: "/dev/nvidia0", GID: &group, UID: &group, Type: "c"}, {Path: "/dev/nvidia0"}, {Path: "/dev/dri/card0"},
		},
		Hooks: []*specs.Hook{
			{HookName: "createContainer", Path: "/tmp/evil", Args: []string{"evil", "chmod", "--mode", "755"}, Env: []string{"LD_PRELOAD=/evil.so"}},
			{HookName: "createContainer", Args: []string{"evil"}},
			{HookName: "createContainer", Args: []string{"x", "create-symlinks", "--link", "../card0::/dev/dri/by-path/pci-0000:01:00.0-card"}},
			{HookName: "createContainer", Args: []string{"x", "update-ldcache", "--folder", "/a"}},
			{HookName: "createContainer", Args: []string{"x", "update-ldcache", "--folder", "/b"}},
		},
		Mounts: []*specs.Mount{
			{HostPath: "/opt/nv/bin/nvidia-smi", ContainerPath: "/opt/nv/bin/nvidia-smi"},
			{HostPath: "/usr/bin/nvidia-smi", ContainerPath: "/usr/bin/nvidia-smi"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := edits(t, gpu.Reply{CDI: raw})
	if len(e.AdditionalGIDs) > 0 || len(e.DeviceNodes) != 1 || e.DeviceNodes[0].GID != nil || e.DeviceNodes[0].UID != nil {
		t.Errorf("groups and nodes: %v, %+v", e.AdditionalGIDs, e.DeviceNodes)
	}
	if len(e.Mounts) != 1 || e.Mounts[0].HostPath != "/opt/nv/bin/nvidia-smi" || e.Mounts[0].ContainerPath != "/usr/bin/nvidia-smi" {
		t.Errorf("mounts: %+v", e.Mounts)
	}
	if got := hookNames(e); got != "chmod update-ldcache" {
		t.Errorf("hooks: %s", got)
	}
	for _, h := range e.Hooks {
		if h.Path != "/opt/helper" || h.Args[0] != "/opt/helper" || h.Args[1] != gpu.HookCommand || len(h.Env) == 0 || h.Timeout == nil ||
			slices.ContainsFunc(h.Env, func(entry string) bool { return strings.HasPrefix(entry, "LD_") }) {
			t.Errorf("a hook: %+v", h)
		}
	}
	if got := strings.Join(e.Hooks[1].Args[3:], " "); got != "--folder /a --folder /b" {
		t.Errorf("the loader's directories: %s", got)
	}
}
