package sysfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// sensors are the files that tell what a device does.
type sensors struct {
	files   []sensor
	missing map[string]string // by the name in gpu.Reading, what no file tells
	kfd     string            // directory of the compute driver's processes; "": there is none
	id      string            // of the device, for that driver
}

// sensor is a file with one number.
type sensor struct {
	name string // in gpu.Reading
	path string
	unit float64 // how many of the file's are one
	into func(*gpu.Reading) **float64
}

func of(name, path string, unit float64) sensor {
	return sensor{name, path, unit, map[string]func(*gpu.Reading) **float64{
		"utilization":        func(r *gpu.Reading) **float64 { return &r.Utilization },
		"memory_utilization": func(r *gpu.Reading) **float64 { return &r.MemoryUtilization },
		"memory_used_bytes":  func(r *gpu.Reading) **float64 { return &r.MemoryUsedBytes },
		"power_watts":        func(r *gpu.Reading) **float64 { return &r.PowerWatts },
		"energy_joules":      func(r *gpu.Reading) **float64 { return &r.EnergyJoules },
		"celsius":            func(r *gpu.Reading) **float64 { return &r.Celsius },
	}[name]}
}

const notTold = "this driver does not tell"

// amdSensors are those of amdgpu, see the kernel's gpu/amdgpu/thermal.rst and hwmon/sysfs-interface.rst.
func amdSensors(dir, kfd, minor string) sensors {
	s := sensors{missing: map[string]string{"throttled": notTold, "sm_active": notTold, "tensor_active": notTold, "dram_active": notTold}}
	s.files = []sensor{
		of("utilization", filepath.Join(dir, "gpu_busy_percent"), 100),
		of("memory_utilization", filepath.Join(dir, "mem_busy_percent"), 100),
		of("memory_used_bytes", filepath.Join(dir, "mem_info_vram_used"), 1),
		of("power_watts", first(dir, "hwmon/hwmon*/power1_average", "hwmon/hwmon*/power1_input"), 1e6),
		of("celsius", first(dir, "hwmon/hwmon*/temp1_input"), 1e3),
	}
	if energy := first(dir, "hwmon/hwmon*/energy1_input"); energy != "" {
		s.files = append(s.files, of("energy_joules", energy, 1e6))
	} else {
		s.missing["energy_joules"] = notTold
	}
	nodes, _ := filepath.Glob(filepath.Join(kfd, "topology/nodes/*/properties")) // a pattern that cannot be bad
	for _, path := range nodes {
		text, _ := os.ReadFile(path)
		if slices.Contains(strings.Split(string(text), "\n"), "drm_render_minor "+minor) && minor != "" {
			s.kfd, s.id = filepath.Join(kfd, "proc"), word(filepath.Dir(path), "gpu_id")
		}
	}
	if s.kfd == "" {
		s.missing["processes"] = notTold
	}
	return s
}

// jetsonSensors are those of nvgpu. The GPU has no memory of its own, and what it draws is not told apart from the board's.
func jetsonSensors(dir, thermal string) sensors {
	const shared, board = "it shares the machine's memory", "it is not told apart from the board's"
	s := sensors{missing: map[string]string{
		"memory_used_bytes": shared, "memory_utilization": shared, "processes": shared, "power_watts": board, "energy_joules": board,
		"throttled": notTold, "sm_active": notTold, "tensor_active": notTold, "dram_active": notTold,
	}}
	s.files = []sensor{of("utilization", filepath.Join(dir, "load"), 1000)}
	zones, _ := filepath.Glob(filepath.Join(thermal, "thermal_zone*")) // likewise
	for _, zone := range zones {
		if name := strings.ToLower(word(zone, "type")); strings.HasPrefix(name, "gpu") {
			s.files = append(s.files, of("celsius", filepath.Join(zone, "temp"), 1e3))
			return s
		}
	}
	s.missing["celsius"] = notTold
	return s
}

// first is the first file of some patterns; "" when there is none.
func first(dir string, patterns ...string) string {
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// Watcher reads some devices again and again.
type Watcher struct{ devices []Device }

// NewWatcher watches devices that were found before.
func NewWatcher(devices []Device) *Watcher { return &Watcher{devices} }

// Watch says what devices do at this moment, by their UUIDs.
func (w *Watcher) Watch(_ context.Context, uuids []string) (list []gpu.Reading, err error) {
	for _, uuid := range uuids {
		i := slices.IndexFunc(w.devices, func(d Device) bool { return d.UUID == uuid })
		if i < 0 {
			return nil, fmt.Errorf("%w: %s", gpu.ErrUnknownDevice, uuid)
		}
		list = append(list, w.devices[i].Read())
	}
	return list, nil
}

// Close does nothing.
func (w *Watcher) Close() error { return nil }

// Read is what the device does at this moment.
func (d *Device) Read() gpu.Reading {
	if _, err := os.Stat(d.dir); err != nil {
		return gpu.Reading{UUID: d.UUID, Lost: "the kernel has no such device any more"}
	}
	r := gpu.Reading{UUID: d.UUID, Missing: map[string]string{}, Processes: d.sensors.processes()}
	for name, why := range d.sensors.missing {
		r.Missing[name] = why
	}
	for _, s := range d.sensors.files {
		v, why := number(s.path, "")
		if why != "" {
			r.Missing[s.name] = why
			continue
		}
		v /= s.unit
		*s.into(&r) = &v
	}
	return r
}

// processes are those that compute on the device.
func (s *sensors) processes() (list []gpu.Process) {
	if s.kfd == "" {
		return nil
	}
	entries, _ := os.ReadDir(s.kfd)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if used, why := number(filepath.Join(s.kfd, entry.Name()), "vram_"+s.id); why == "" && used > 0 {
			list = append(list, gpu.Process{PID: pid, MemoryBytes: uint64(used)})
		}
	}
	return list
}

// word is the text of a file in one line; "" when it cannot be read.
func word(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// number is that of a file, or why there is none.
func number(dir, name string) (v float64, why string) {
	if dir == "" {
		return 0, notTold
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, reason(err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, "the driver says what is no number"
	}
	return float64(n), ""
}

// reason is an error about a file that is named elsewhere.
func reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return notTold
	}
	if named, ok := errors.AsType[*fs.PathError](err); ok {
		return named.Err.Error()
	}
	return err.Error()
}
