package sysfs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// machine is a tree of files; what ends with -> is a link to the text after it.
func machine(t *testing.T, files map[string]string) Tree {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "-> "); link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Tree{Root: root}
}

// instincts are a machine with an MI210, a card for people at home, and somebody else's.
func instincts(t *testing.T) Tree {
	t.Helper()
	const a, b, c = "sys/devices/pci0000:00/0000:83:00.0/", "sys/devices/pci0000:00/0000:03:00.0/", "sys/devices/pci0000:00/0000:02:00.0/"
	return machine(t, map[string]string{
		"sys/class/drm/card1/device": "-> ../../../../" + a, "sys/class/drm/card10/device": "-> ../../../../" + b, "sys/class/drm/card0/device": "-> ../../../../" + c,
		"sys/class/drm/card1-DP-1/status": "connected\n", "sys/class/drm/version": "drm 1.1.0\n",
		c + "vendor": "0x1a03\n",

		a + "vendor": "0x1002\n", a + "device": "0x740f\n", a + "unique_id": "7f3a61d2c0b1e584\n", a + "product_name": "AMD INSTINCT MI210\n", a + "driver": "-> ../../../bus/pci/drivers/amdgpu",
		a + "mem_info_vram_total": "68702699520\n", a + "mem_info_vram_used": "10737418240\n", a + "gpu_busy_percent": "42\n", a + "mem_busy_percent": "7\n",
		a + "hwmon/hwmon3/power1_average": "250000000\n", a + "hwmon/hwmon3/temp1_input": "61000\n", a + "drm/card1/x": "", a + "drm/renderD128/dev": "1:3\n",
		"dev/dri/renderD128": "", "dev/kfd": "",
		"sys/class/kfd/kfd/topology/nodes/0/properties": "cpu_cores_count 64\ndrm_render_minor 0\n", "sys/class/kfd/kfd/topology/nodes/0/gpu_id": "0\n",
		"sys/class/kfd/kfd/topology/nodes/1/properties": "simd_count 416\ndrm_render_minor 128\n", "sys/class/kfd/kfd/topology/nodes/1/gpu_id": "51234\n",
		"sys/class/kfd/kfd/proc/4711/vram_51234": "8589934592\n", "sys/class/kfd/kfd/proc/4712/vram_51234": "0\n", "sys/class/kfd/kfd/proc/4713/vram_9": "1\n",

		b + "vendor": "0x1002\n", b + "device": "0x73bf\n", b + "mem_info_vram_total": "17163091968\n", b + "gpu_busy_percent": "no number\n",
		b + "hwmon/hwmon4/power1_input": "25000000\n", b + "drm/renderD129/x": "",
	})
}

func TestAMD(t *testing.T) {
	list := instincts(t).Devices()
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	a, b := list[0], list[1]
	if a.Vendor != AMD || a.Driver != "amdgpu" || a.UUID != "GPU-7f3a61d2c0b1e584" || a.Name != "AMD INSTINCT MI210" || a.PCI != "0000:83:00.0" || a.Minor != 128 || a.MemoryBytes != 68702699520 || a.Unusable != "" {
		t.Errorf("%+v", a)
	}
	if !reflect.DeepEqual(a.Nodes, []string{"/dev/dri/card1", "/dev/dri/renderD128"}) || !reflect.DeepEqual(a.Processes, []gpu.Process{{PID: 4711, MemoryBytes: 8 << 30}}) {
		t.Errorf("%+v", a)
	}
	if b.UUID != "PCI-0000:03:00.0" || b.Name != "AMD GPU 0x73bf" || b.Index != 1 || !b.Unreachable || b.Unusable != "/dev/dri/renderD129: no such file or directory" {
		t.Errorf("%+v", b)
	}
	r := a.Read()
	got := []float64{*r.Utilization, *r.MemoryUtilization, *r.MemoryUsedBytes, *r.PowerWatts, *r.Celsius}
	if !reflect.DeepEqual(got, []float64{0.42, 0.07, 10 << 30, 250, 61}) || r.EnergyJoules != nil || r.Missing["energy_joules"] == "" || r.Missing["throttled"] == "" || len(r.Processes) != 1 || r.Missing["processes"] != "" {
		t.Errorf("%v, %+v", got, r)
	}
	r = b.Read()
	if r.Utilization != nil || r.Missing["utilization"] != "the driver says what is no number" || r.MemoryUsedBytes != nil || r.Missing["memory_used_bytes"] != notTold || *r.PowerWatts != 25 || r.Celsius != nil || r.Missing["processes"] == "" {
		t.Errorf("%+v", r)
	}
}

func TestGiven(t *testing.T) {
	tree := instincts(t)
	for _, c := range []struct {
		nodes []string
		want  string
	}{
		{nil, ""}, {[]string{"/dev/kfd", "/dev/zero"}, ""}, {[]string{"/dev/kfd", "/dev/dri/renderD129"}, "PCI-0000:03:00.0"},
		{[]string{"/dev/null"}, "GPU-7f3a61d2c0b1e584"}, // has that number, as a link in /dev/dri/by-path would
		{[]string{"/dev/dri/card1", "/dev/dri/renderD128", "/dev/dri/renderD129"}, "GPU-7f3a61d2c0b1e584 PCI-0000:03:00.0"},
	} {
		var got []string
		for i, d := range tree.Given(c.nodes) {
			got = append(got, d.UUID)
			if d.Index != i {
				t.Errorf("%v: %+v", c.nodes, d)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.nodes, got, c.want)
		}
	}
}

func TestWatcher(t *testing.T) {
	tree := instincts(t)
	w := NewWatcher(tree.Devices())
	list, err := w.Watch(context.Background(), []string{"PCI-0000:03:00.0", "GPU-7f3a61d2c0b1e584"})
	if err != nil || len(list) != 2 || *list[0].PowerWatts != 25 || *list[1].PowerWatts != 250 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := w.Watch(context.Background(), []string{"GPU-1"}); !errors.Is(err, gpu.ErrUnknownDevice) {
		t.Error(err)
	}
	if err := os.RemoveAll(tree.path("sys/devices/pci0000:00/0000:83:00.0")); err != nil {
		t.Fatal(err)
	}
	if list, err := w.Watch(context.Background(), []string{"GPU-7f3a61d2c0b1e584"}); err != nil || list[0].Lost == "" {
		t.Errorf("a card that was taken out: %+v, %v", list, err)
	}
}

func TestJetson(t *testing.T) {
	for _, place := range []string{"sys/devices/platform/gpu.0", "sys/devices/platform/17000000.ga10b"} {
		list := machine(t, map[string]string{
			place + "/load": "375\n", "proc/device-tree/model": "NVIDIA Jetson AGX Orin\x00", "dev/nvhost-gpu": "",
			"sys/class/thermal/thermal_zone0/type": "CPU-therm\n", "sys/class/thermal/thermal_zone1/type": "GPU-therm\n", "sys/class/thermal/thermal_zone1/temp": "48500\n",
		}).Devices()
		if len(list) != 1 || list[0].Vendor != NVIDIA || list[0].Name != "NVIDIA Jetson AGX Orin" || !reflect.DeepEqual(list[0].Nodes, []string{"/dev/nvhost-gpu"}) || list[0].UUID != "SOC-"+filepath.Base(place) {
			t.Fatalf("%s: %+v", place, list)
		}
		r := list[0].Read()
		if *r.Utilization != 0.375 || *r.Celsius != 48.5 || r.MemoryUsedBytes != nil || r.Missing["memory_used_bytes"] == "" || r.Missing["power_watts"] == "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestNothing(t *testing.T) {
	if list := (Tree{Root: t.TempDir()}).Devices(); len(list) > 0 {
		t.Errorf("%+v", list)
	}
}
