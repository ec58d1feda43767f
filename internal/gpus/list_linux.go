package gpus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
)

// List is what there is.
type List struct {
	Driver   *Driver  `json:"driver,omitempty"` // NVIDIA's
	GPUs     []GPU    `json:"gpus"`
	Warnings []string `json:"warnings,omitempty"`
}

// Driver is NVIDIA's driver.
type Driver struct {
	Version   string `json:"version"`
	CUDA      string `json:"cuda,omitempty"` // newest that it can do
	NVML      string `json:"nvml,omitempty"`
	Libraries string `json:"libraries,omitempty"` // their directory
	Root      string `json:"root,omitempty"`
	UVM       bool   `json:"uvm"` // without it CUDA does not work
}

// GPU is a device, or an instance of one in MIG mode. Numbers that are not known are absent, and Missing says why.
type GPU struct {
	ID     string `json:"id"` // as --gpus device=... takes it, or --device: 0, 0:1, /dev/dri/renderD128
	Vendor string `json:"vendor"`
	UUID   string `json:"uuid,omitempty"`
	Name   string `json:"name,omitempty"`
	PCI    string `json:"pci,omitempty"`
	Minor  *int   `json:"minor,omitempty"` // of its device node
	MIG    bool   `json:"mig,omitempty"`   // it is used through its instances alone

	Profile     string `json:"profile,omitempty"` // of an instance: 1g.10gb
	Compute     string `json:"compute_capability,omitempty"`
	MemoryBytes uint64 `json:"memory_bytes,omitempty"`

	MemoryUsed  *float64          `json:"memory_used_bytes,omitempty"`
	Utilization *float64          `json:"utilization,omitempty"` // of 1
	Power       *float64          `json:"power_watts,omitempty"`
	Celsius     *float64          `json:"celsius,omitempty"`
	Missing     map[string]string `json:"missing,omitempty"`

	Users     []User `json:"users"`
	Instances []GPU  `json:"instances,omitempty"`
	Unusable  string `json:"unusable,omitempty"` // why no job can have it
}

// Usable reports whether a job could have the device, or one of its instances.
func (g *GPU) Usable() bool {
	if g.MIG {
		return slices.ContainsFunc(g.Instances, func(i GPU) bool { return i.Unusable == "" })
	}
	return g.Unusable == ""
}

// Options say where to look.
type Options struct {
	Place gpu.Place
	Files sysfs.Tree
	Runs  []Run
	Slow  func() // is called when the driver takes its time
}

// watchPatience: what the devices do is left out when it takes longer than this.
const watchPatience = 2 * time.Second

// Read lists what there is. The error is why NVIDIA's GPUs are not in the list, whatever else is.
func Read(ctx context.Context, o Options) (List, error) {
	list := List{GPUs: []GPU{}}
	err := list.readNVIDIA(ctx, o)
	list.readFiles(o)
	return list, err
}

// absent is the error of a machine on which nothing says that it has NVIDIA's GPUs: then there is no need of a helper.
func absent(place gpu.Place, err error) error {
	if !errors.Is(err, gpu.ErrNoHelper) || place.Helper != "" || place.DriverRoot != "" || host.NvidiaDriver() != "" {
		return err
	}
	if _, statErr := os.Stat("/dev/nvidiactl"); statErr == nil {
		return err
	}
	return fmt.Errorf("%w: its kernel module is not loaded", gpu.ErrNoDriver)
}

func (l *List) readNVIDIA(ctx context.Context, o Options) (err error) {
	helper, err := gpu.Open(ctx, o.Place)
	if err != nil {
		return absent(o.Place, err)
	}
	defer func() { err = errors.Join(err, helper.Close()) }()
	if o.Slow != nil {
		defer time.AfterFunc(gpu.SlowDriver, o.Slow).Stop()
	}
	found, err := helper.List(ctx)
	if err != nil {
		return err
	}
	l.Driver = &Driver{Version: found.Driver, CUDA: found.CUDA, NVML: found.NVML, Libraries: found.Libraries, Root: found.DriverRoot, UVM: found.UVM}
	users := newUsers(o.Runs)
	for _, d := range found.GPUs {
		l.GPUs = append(l.GPUs, nvidia(d, users))
	}
	l.Warnings = append(l.Warnings, helper.Warnings()...)
	l.watch(ctx, helper)
	return nil
}

// watch adds what the devices do. That may take no time worth mentioning, and fail: the list is of use without.
func (l *List) watch(ctx context.Context, helper *gpu.Helper) {
	by := map[string]*GPU{}
	var uuids []string
	for i := range l.GPUs {
		for _, g := range append([]*GPU{&l.GPUs[i]}, pointers(l.GPUs[i].Instances)...) {
			if g.UUID != "" && g.Unusable == "" {
				by[g.UUID], uuids = g, append(uuids, g.UUID)
			}
		}
	}
	if len(uuids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, watchPatience, fmt.Errorf("the driver has not said it within %s", watchPatience))
	defer cancel()
	readings, err := helper.Watch(ctx, uuids)
	if err != nil {
		l.Warnings = append(l.Warnings, "what the GPUs do is not known: "+err.Error())
		return
	}
	for _, r := range readings {
		if g := by[r.UUID]; g != nil {
			g.put(r)
		}
	}
}

func pointers(list []GPU) (out []*GPU) {
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

// put adds a reading.
func (g *GPU) put(r gpu.Reading) {
	g.MemoryUsed, g.Utilization, g.Power, g.Celsius = r.MemoryUsedBytes, r.Utilization, r.PowerWatts, r.Celsius
	for _, name := range []string{"memory_used_bytes", "utilization", "power_watts", "celsius"} {
		if why := r.Missing[name]; why != "" {
			if g.Missing == nil {
				g.Missing = map[string]string{}
			}
			g.Missing[name] = why
		}
	}
	if r.Lost != "" && g.Unusable == "" {
		g.Unusable = r.Lost
	}
}

// nvidia is a device of the helper's.
func nvidia(d gpu.Device, users users) GPU {
	g := GPU{
		ID: fmt.Sprint(d.Index), Vendor: sysfs.NVIDIA, UUID: d.UUID, Name: d.Name, PCI: d.PCI, MIG: d.MIG, Compute: d.Compute, MemoryBytes: d.MemoryBytes,
		Users: users.of(d.UUID, d.Processes), Unusable: d.Unusable,
	}
	if d.Minor >= 0 {
		g.Minor = &d.Minor
	}
	if d.Unreachable && g.Unusable == "" {
		g.Unusable = "its device node cannot be opened"
	}
	for _, i := range d.Instances {
		g.Instances = append(g.Instances, GPU{
			ID: fmt.Sprintf("%d:%d", d.Index, i.Index), Vendor: sysfs.NVIDIA, UUID: i.UUID, Name: d.Name, PCI: d.PCI, Profile: i.Profile, Compute: d.Compute,
			MemoryBytes: i.MemoryBytes, Users: users.of(i.UUID, i.Processes), Unusable: i.Unusable,
		})
	}
	return g
}

// readFiles adds the devices that are known by their files. A Jetson's may be one that the helper has told of.
func (l *List) readFiles(o Options) {
	users := newUsers(o.Runs)
	for _, d := range o.Files.Devices() {
		if d.Vendor == sysfs.NVIDIA && len(l.GPUs) > 0 {
			continue
		}
		g := GPU{
			ID: d.PCI, Vendor: d.Vendor, UUID: d.UUID, Name: d.Name, PCI: d.PCI, MemoryBytes: d.MemoryBytes,
			Users: users.of(d.UUID, d.Processes), Unusable: d.Unusable,
		}
		if i := slices.IndexFunc(d.Nodes, func(n string) bool { return strings.HasPrefix(n, "/dev/dri/renderD") }); i >= 0 {
			g.ID = d.Nodes[i]
		} else if len(d.Nodes) > 0 {
			g.ID = d.Nodes[0]
		}
		g.put(d.Read())
		l.GPUs = append(l.GPUs, g)
	}
}
