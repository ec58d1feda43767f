package sysfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// The vendors.
const (
	AMD    = "amd"
	NVIDIA = "nvidia"
)

// Tree is the files of a machine. Its zero value is this one's.
type Tree struct {
	Root string // that /sys, /proc and /dev are below; "": /
}

// Device is a GPU that is known by its files.
type Device struct {
	gpu.Device
	Vendor string
	Driver string   // the kernel's: amdgpu
	Nodes  []string // device files by which it is used: /dev/dri/renderD128

	dir     string
	numbers []string // of Nodes, MAJOR:MINOR
	sensors sensors
}

func (t Tree) path(parts ...string) string {
	return filepath.Join(append([]string{"/", t.Root}, parts...)...)
}

// Devices are the GPUs that there are, AMD's in the order of their card's numbers. Their Index counts them.
func (t Tree) Devices() (list []Device) {
	cards, _ := filepath.Glob(t.path("sys/class/drm/card*")) // the pattern is none that can be bad
	slices.SortFunc(cards, func(a, b string) int { return cardNumber(a) - cardNumber(b) })
	for _, card := range cards {
		if cardNumber(card) < 0 || word(card, "device/vendor") != "0x1002" {
			continue
		}
		list = append(list, t.amd(filepath.Join(card, "device")))
	}
	if d, ok := t.jetson(); ok {
		list = append(list, d)
	}
	for i := range list {
		list[i].Index = i
	}
	return list
}

// Given are the devices of which a job has a device file, by that name or another one; Index counts those.
func (t Tree) Given(nodes []string) (list []Device) {
	if len(nodes) == 0 {
		return nil
	}
	var numbers []string
	for _, node := range nodes {
		var st unix.Stat_t
		if err := unix.Stat(node, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR {
			numbers = append(numbers, fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
		}
	}
	for _, d := range t.Devices() {
		if anyOf(d.Nodes, nodes) || anyOf(d.numbers, numbers) {
			d.Index = len(list)
			list = append(list, d)
		}
	}
	return list
}

func anyOf(list, wanted []string) bool {
	return slices.ContainsFunc(list, func(text string) bool { return slices.Contains(wanted, text) })
}

// cardNumber is N of .../cardN, and -1 for what is none: card0-HDMI-A-1 is a connector of one.
func cardNumber(path string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "card"))
	if err != nil {
		return -1
	}
	return n
}

// amd describes an AMD device by its directory.
func (t Tree) amd(dir string) Device {
	d := Device{Vendor: AMD, dir: dir, Device: gpu.Device{Minor: -1, Name: word(dir, "product_name"), UUID: word(dir, "unique_id")}}
	if target, err := os.Readlink(dir); err == nil {
		d.PCI = filepath.Base(target)
	}
	if target, err := os.Readlink(filepath.Join(dir, "driver")); err == nil {
		d.Driver = filepath.Base(target)
	}
	switch {
	case strings.Trim(d.UUID, "0x") != "":
		d.UUID = "GPU-" + strings.TrimPrefix(d.UUID, "0x") // as ROCR_VISIBLE_DEVICES has it
	case d.PCI != "":
		d.UUID = "PCI-" + d.PCI // cards for people at home have no id
	}
	if d.Name == "" {
		d.Name = strings.TrimSpace("AMD GPU " + word(dir, "device"))
	}
	if n, why := number(dir, "mem_info_vram_total"); why == "" {
		d.MemoryBytes = uint64(n)
	}
	nodes, _ := os.ReadDir(filepath.Join(dir, "drm"))
	minor := ""
	for _, entry := range nodes {
		if name := entry.Name(); strings.HasPrefix(name, "card") || strings.HasPrefix(name, "renderD") {
			d.Nodes = append(d.Nodes, "/dev/dri/"+name)
			if number := word(filepath.Join(dir, "drm", name), "dev"); number != "" {
				d.numbers = append(d.numbers, number)
			}
			if after, ok := strings.CutPrefix(name, "renderD"); ok {
				minor = after
			}
		}
	}
	if n, err := strconv.Atoi(minor); err == nil {
		d.Minor = n
	}
	d.Unusable, d.Unreachable = t.reach(d.Nodes)
	d.sensors = amdSensors(dir, t.path("sys/class/kfd/kfd"), minor)
	d.Processes = d.sensors.processes()
	return d
}

// reach reports why nobody could compute by some device files: AMD's render node is the one that counts.
func (t Tree) reach(nodes []string) (why string, unreachable bool) {
	i := slices.IndexFunc(nodes, func(node string) bool { return strings.HasPrefix(filepath.Base(node), "renderD") })
	if i < 0 {
		return "it has no render node", true
	}
	for _, node := range []string{nodes[i], "/dev/kfd"} {
		if why := t.opens(node); why != "" {
			return node + ": " + why, true
		}
	}
	return "", false
}

// opens reports why a file cannot be opened. It is not: that would wake a device that sleeps.
func (t Tree) opens(node string) string {
	if err := unix.Access(t.path(node), unix.R_OK|unix.W_OK); err != nil {
		return err.Error()
	}
	return ""
}

// jetsonPlaces are where boards have their GPU: Nano and Xavier, and Orin by the names of its drivers.
var jetsonPlaces = []string{
	"sys/devices/platform/gpu.0", "sys/devices/gpu.0", "sys/devices/platform/*.gpu", "sys/devices/platform/*.ga10b", "sys/devices/platform/bus@0/*.gpu",
}

// jetsonNodes are the files by which it is used, of several generations of boards.
var jetsonNodes = []string{"/dev/nvhost-gpu", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu/igpu0/ctrl", "/dev/nvgpu/igpu0/nvsched"}

// jetson is the GPU of a Jetson board, if this is one.
func (t Tree) jetson() (Device, bool) {
	for _, place := range jetsonPlaces {
		dirs, _ := filepath.Glob(t.path(place)) // likewise
		for _, dir := range dirs {
			if _, err := os.Stat(filepath.Join(dir, "load")); err != nil {
				continue
			}
			d := Device{Vendor: NVIDIA, Driver: "nvgpu", dir: dir, Device: gpu.Device{Minor: -1, UUID: "SOC-" + filepath.Base(dir), Name: t.model()}}
			for _, node := range jetsonNodes {
				if _, err := os.Stat(t.path(node)); err == nil {
					d.Nodes = append(d.Nodes, node)
				}
			}
			d.sensors = jetsonSensors(dir, t.path("sys/class/thermal"))
			return d, true
		}
	}
	return Device{}, false
}

// model is the board's name.
func (t Tree) model() string {
	text := strings.Trim(word(t.path("proc/device-tree"), "model"), "\x00")
	if text == "" {
		return "Jetson"
	}
	return text
}
