package gpus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
)

// TestUsers: a process is of the run whose supervisor is among its ancestors, of which the nearest counts.
func TestUsers(t *testing.T) {
	here := host.Owner{BootID: "here"}
	owner := func(pid int) host.Owner { return host.Owner{BootID: "here", PID: pid} }
	parents := map[int]int{30: 20, 20: 10, 10: 1, 31: 21, 21: 1, 40: 41, 41: 40, 50: 12, 12: 1}
	u := users{
		runs: []Run{
			{ID: "A", Name: "first", Owner: owner(10), UUIDs: []string{"GPU-1"}}, {ID: "B", Owner: owner(11), UUIDs: []string{"GPU-1", "GPU-2"}},
			{ID: "C", Owner: host.Owner{BootID: "elsewhere", PID: 12}, UUIDs: []string{"GPU-2"}},
		},
		parent: func(pid int) int { return parents[pid] },
		name:   func(pid int) string { return map[int]string{30: "python3", 31: "Xorg"}[pid] },
		here:   func(o host.Owner) bool { return o.BootID == here.BootID },
	}
	for _, c := range []struct {
		name, uuid string
		processes  []gpu.Process
		want       []User
	}{
		{"a run's process, another's, and a run that does nothing on it", "GPU-1", []gpu.Process{{PID: 31, MemoryBytes: 5}, {PID: 30, MemoryBytes: 7}},
			[]User{{Run: "A", RunName: "first", PID: 30, Process: "python3", MemoryBytes: 7}, {Run: "B"}, {PID: 31, Process: "Xorg", MemoryBytes: 5}}},
		{"a process that has ended, one that is its own ancestor, and one below what has the number of a supervisor elsewhere", "GPU-9", []gpu.Process{{PID: 99}, {PID: 40}, {PID: 50}},
			[]User{{PID: 99}, {PID: 40}, {PID: 50}}},
		{"nobody", "GPU-3", nil, []User{}},
		{"without an id nobody has it", "", nil, []User{}},
	} {
		if got := u.of(c.uuid, c.processes); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestThisProcess: its ancestors are found in /proc, and so is its name.
func TestThisProcess(t *testing.T) {
	self, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	if parentOf(os.Getpid()) != os.Getppid() || nameOf(os.Getpid()) == "" || parentOf(1<<30) != 0 || nameOf(1<<30) != "" {
		t.Errorf("parent %d, name %q", parentOf(os.Getpid()), nameOf(os.Getpid()))
	}
	u := newUsers([]Run{{ID: "A", Owner: self}})
	if list := u.of("GPU-1", []gpu.Process{{PID: os.Getpid()}}); len(list) != 1 || list[0].Run != "A" {
		t.Errorf("%+v", list)
	}
}

func TestUsable(t *testing.T) {
	for _, c := range []struct {
		name string
		g    GPU
		want bool
	}{
		{"as usual", GPU{}, true}, {"lost", GPU{Unusable: "lost"}, false}, {"MIG without instances", GPU{MIG: true}, false},
		{"MIG", GPU{MIG: true, Instances: []GPU{{Unusable: "x"}, {}}}, true}, {"MIG, all taken", GPU{MIG: true, Instances: []GPU{{Unusable: "x"}}}, false},
	} {
		if got := c.g.Usable(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestNoHelper: a machine with another vendor's GPU needs none; one of which it is asked for by name does.
func TestNoHelper(t *testing.T) {
	want := gpu.ErrNoDriver
	if _, err := os.Stat("/dev/nvidiactl"); err == nil || host.NvidiaDriver() != "" {
		want = gpu.ErrNoHelper // beside this test
	}
	root := t.TempDir()
	dir := filepath.Join(root, "sys/class/drm/card0/device")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"vendor": "0x1002", "product_name": "MI210", "gpu_busy_percent": "50"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := Read(context.Background(), Options{Files: sysfs.Tree{Root: root}})
	if !errors.Is(err, want) || len(list.GPUs) != 1 || list.GPUs[0].Name != "MI210" || *list.GPUs[0].Utilization != 0.5 || list.GPUs[0].Usable() || list.GPUs[0].Missing["power_watts"] == "" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := Read(context.Background(), Options{Place: gpu.Place{Helper: filepath.Join(root, "nosuch")}, Files: sysfs.Tree{Root: root}}); !errors.Is(err, gpu.ErrNoHelper) {
		t.Error(err)
	}
}
