// Package device gives a job devices of the host's: GPUs by number, which NVIDIA's driver knows, and others by name, as device files or as
// their vendors' specifications (CDI) describe them.
package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/cdi"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// ErrUnusable marks a device that is not there or cannot be used.
var ErrUnusable = errors.New("device cannot be used")

// Request is what a job is to get of the host's. The zero value is nothing.
type Request struct {
	GPUs      gpu.Selection
	Compat    gpu.Compat
	Preferred []string // UUIDs that are taken in the place of others, if all can be had: those of the run that this one repeats
	Driver    string   // version of the one that the repeated run had

	Names []string // as --device takes them: /dev/x[:/dev/y], VENDOR/CLASS=NAME, infiniband

	Place  gpu.Place  // of NVIDIA's driver
	Files  sysfs.Tree // that tell of other GPUs
	Config string     // the caller's directory of configuration, which may have one of CDI; "": none
}

// Devices is what has been found on this host of a Request.
type Devices struct {
	*gpus // nil: none were asked for

	found   spec.Devices
	records []record.Device
	asked   Request
	environ []string // the caller's
	notice  func(string)
}

// Open finds what was asked for by name, and begins to ask for GPUs. The caller closes what it returns, with an error as well.
func Open(o Request, environ []string, notice func(string)) (*Devices, error) {
	d := &Devices{asked: o, environ: environ, notice: notice}
	for _, text := range o.Names {
		if err := d.add(text); err != nil {
			return d, err
		}
	}
	if o.GPUs.None() {
		return d, nil
	}
	g, err := openGPUs(o)
	d.gpus = g
	return d, err
}

// filed are the GPUs among them that are known by their files in /sys, once there is a choice.
func (d *Devices) filed() []sysfs.Device {
	var nodes []string
	for _, n := range d.found.Nodes {
		nodes = append(nodes, n.Source)
	}
	list := d.asked.Files.Given(nodes)
	if d.gpus == nil || d.failed() != nil || d.board == nil {
		return list
	}
	return append(slices.DeleteFunc(list, func(f sysfs.Device) bool { return f.UUID == d.board.UUID }), *d.board)
}

// Describe puts them into a run's record, those of another choice once there is one.
func (d *Devices) Describe(run *record.Run) {
	run.GPUs, run.Driver = d.gpus.records()
	run.Devices = d.records
	run.GPUs = append(run.GPUs, filedRecords(d.filed(), len(run.GPUs))...)
}

// Watchers tell what the job's GPUs do. Who has been given one closes it, or the run does.
func (d *Devices) Watchers() (list []metrics.GPUOptions) {
	if d.gpus != nil && d.board == nil {
		list = append(list, metrics.GPUOptions{Watcher: d.helper, From: metrics.FromNVML, UUIDs: d.uuids()})
	}
	filed := d.filed()
	var uuids []string
	for _, f := range filed {
		uuids = append(uuids, f.UUID)
	}
	return append(list, metrics.GPUOptions{Watcher: sysfs.NewWatcher(filed), From: metrics.FromSysfs, UUIDs: uuids})
}

// filedRecords are the record's form of them, numbered from first on.
func filedRecords(list []sysfs.Device, first int) (records []record.GPU) {
	for i, d := range list {
		records = append(records, record.GPU{Index: first + i, Vendor: d.Vendor, UUID: d.UUID, Name: d.Name, PCI: d.PCI, MemoryBytes: int64(d.MemoryBytes)})
	}
	return records
}

// add finds one device by its name.
func (d *Devices) add(text string) error {
	if cdi.IsName(text) {
		return d.addInstalled(text)
	}
	nodes, err := nodesOf(text, d.notice)
	if err != nil {
		return err
	}
	rec := record.Device{Name: text}
	for _, n := range nodes {
		rec.Nodes = append(rec.Nodes, n.Target)
	}
	d.found.Nodes = append(d.found.Nodes, nodes...)
	d.records = append(d.records, rec)
	return nil
}

// addInstalled takes a device that a vendor's specification describes.
func (d *Devices) addInstalled(text string) error {
	name, err := cdi.ParseName(text)
	if err != nil {
		return err
	}
	found, err := cdi.Find(cdi.Dirs(d.asked.Config), []cdi.Name{name})
	if err != nil {
		return err
	}
	rec := record.Device{Name: text, Spec: found[0].File, Digest: found[0].Digest.String()}
	for _, n := range found[0].Devices.Nodes {
		if err := checkNode(n.Source); err != nil {
			return fmt.Errorf("%w: %s, of %s: %w", ErrUnusable, text, found[0].File, err)
		}
		rec.Nodes = append(rec.Nodes, n.Target)
	}
	for _, m := range found[0].Devices.Mounts {
		if _, err := os.Stat(m.Source); err != nil {
			return fmt.Errorf("%w: %s, of %s: %w", ErrUnusable, text, found[0].File, err)
		}
	}
	d.found = spec.JoinDevices(d.found, found[0].Devices)
	d.records = append(d.records, rec)
	return nil
}

// nodesOf are the device files of a name that is none of CDI.
func nodesOf(text string, notice func(string)) ([]spec.Node, error) {
	if text == spec.InfiniBand {
		return infiniband(rdmaDir)
	}
	node, access, err := spec.ParseNode(text)
	if err != nil {
		return nil, err
	}
	if access != "" && (!strings.Contains(access, "r") || !strings.Contains(access, "w")) {
		notice(fmt.Sprintf("--device %s: the job has what you may do with it; less than that takes root", text))
	}
	nodes := []spec.Node{node}
	if info, err := os.Stat(node.Source); err == nil && info.IsDir() {
		if nodes, err = nodesIn(node); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
		}
	}
	for _, n := range nodes {
		if err := checkNode(n.Source); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
		}
	}
	return nodes, nil
}

// nodesIn are the device files of a directory that the caller may open.
func nodesIn(dir spec.Node) (nodes []spec.Node, err error) {
	err = filepath.WalkDir(dir.Source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeDevice == 0 || checkNode(path) != nil {
			return err
		}
		nodes = append(nodes, spec.Node{Source: path, Target: dir.Target + strings.TrimPrefix(path, dir.Source)})
		return nil
	})
	if err == nil && len(nodes) == 0 {
		err = fmt.Errorf("%s has no device that you may open", dir.Source)
	}
	return nodes, err
}

// checkNode finds out whether a path is a device that the caller, as whom the job will open it, may open.
func checkNode(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return host.Missing(path)
	case err != nil:
		return err
	case info.Mode()&fs.ModeDevice == 0:
		return fmt.Errorf("%s is no device", path)
	}
	readable, writable := unix.Access(path, unix.R_OK), unix.Access(path, unix.W_OK)
	if readable != nil && writable != nil {
		return fmt.Errorf("%s may be opened neither for reading nor for writing: it has mode %#o: %w", path, info.Mode().Perm(), readable)
	}
	return nil
}

// tellGroups names devices that are open to the caller by a supplementary group alone: among several users a job has the image's
// groups instead.
func (d *Devices) tellGroups(nodes []spec.Node) {
	for _, n := range nodes {
		var st unix.Stat_t
		if unix.Stat(n.Source, &st) == nil && openByGroup(st, os.Getuid(), os.Getgid()) {
			d.notice(fmt.Sprintf("%s is open to you by group %d, which a job with --userns subuid does not have", n.Source, st.Gid))
		}
	}
}

// openByGroup: of the permissions of a device, those of neither owner nor everybody, and not of the caller's own group, are what lets a
// caller in.
func openByGroup(st unix.Stat_t, uid, gid int) bool {
	const both = 0o6
	mine := int(st.Uid) == uid && st.Mode>>6&both == both
	ours := int(st.Gid) == gid && st.Mode>>3&both == both
	return !mine && !ours && st.Mode&both != both && st.Mode>>3&both == both
}

// rdmaDir is where the kernel's InfiniBand drivers have their devices.
const rdmaDir = "/dev/infiniband"

// infiniband are the devices by which a program reaches remote memory (RDMA), and those by which it asks about the network. The last
// are often root's alone, and not needed by jobs.
func infiniband(dir string) (nodes []spec.Node, err error) {
	verbs := false
	for _, pattern := range []string{"uverbs*", "rdma_cm", "umad*", "issm*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		slices.Sort(paths)
		for _, path := range paths {
			if checkNode(path) == nil {
				nodes = append(nodes, spec.Node{Source: path, Target: filepath.Join(rdmaDir, filepath.Base(path))})
				verbs = verbs || pattern == "uverbs*"
			}
		}
	}
	if !verbs {
		return nil, fmt.Errorf("%w: --device %s: no %s/uverbs* that you may open on this host", ErrUnusable, spec.InfiniBand, dir)
	}
	return nodes, nil
}
