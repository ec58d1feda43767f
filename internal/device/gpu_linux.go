package device

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/internal/env"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/cdi"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// gpus are those of a run. What the driver says is awaited in the background, while the image is being found.
type gpus struct {
	helper *gpu.Helper
	asked  Request

	done      chan struct{} // the next are set when it is closed
	inventory gpu.Inventory
	jetson    bool          // by its own software
	board     *sysfs.Device // nil: NVML knows the GPU
	chosen    []gpu.Choice
	notes     []string
	err       error
	cancel    context.CancelCauseFunc // ends what waits for the image
}

// openGPUs starts the helper, so that one that is not there is told at once.
func openGPUs(o Request) (*gpus, error) {
	helper, err := gpu.Open(context.Background(), o.Place)
	if err != nil {
		return nil, err
	}
	return &gpus{helper: helper, asked: o, done: make(chan struct{})}, nil
}

// Choose finds out in the background which GPUs there are, and which of them the job gets. The context that it returns ends when the
// job gets none: nobody need wait for an image then.
func (d *Devices) Choose(ctx context.Context) context.Context {
	g := d.gpus
	if g == nil {
		return ctx
	}
	outer := ctx
	ctx, g.cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(g.done)
		slow := time.AfterFunc(gpu.SlowDriver, func() { d.notice("waiting for the GPUs' driver") })
		defer slow.Stop()
		if g.err = g.list(outer); g.err == nil {
			scope := gpu.NewScope(sched.Batch(d.environ), func(name string) (string, bool) { return env.Lookup(d.environ, name) })
			scope.Preferred = g.asked.Preferred
			g.chosen, g.notes, g.err = g.asked.GPUs.Choose(g.inventory, scope)
		}
		if g.err != nil {
			g.cancel(Error{g.err})
		}
	}()
	return ctx
}

// failed waits for the choice, and is why there is none.
func (g *gpus) failed() error {
	if g == nil {
		return nil
	}
	<-g.done
	return g.err
}

// Close ends the helper. It may have been closed.
func (g *gpus) Close() error {
	if g == nil {
		return nil
	}
	if g.cancel != nil {
		g.cancel(nil)
	}
	return g.helper.Close()
}

// uuids are those of the job's GPUs and instances, in its order; nil: it has none.
func (g *gpus) uuids() []string {
	if g == nil {
		return nil
	}
	return gpu.UUIDs(g.chosen)
}

// Job is what of a job its devices depend on.
type Job struct {
	Env      []string // the user's variables
	ImageEnv []string
	Volumes  []spec.Volume
	Users    bool // it has several users, and none of the caller's groups
}

// Complete completes a specification by what the job's devices need. The error is an Error.
func (d *Devices) Complete(ctx context.Context, s *specs.Spec, w Job) error {
	if d.gpus == nil && len(d.records) == 0 {
		return nil
	}
	found, err := d.need(ctx, w, slices.Concat(w.ImageEnv, w.Env))
	if err != nil {
		return Error{err}
	}
	all := spec.JoinDevices(d.found, found)
	if w.Users {
		d.tellGroups(all.Nodes)
	}
	given := slices.DeleteFunc(slices.Clone(w.Env), func(v string) bool { return strings.HasPrefix(v, visibleDevices) })
	spec.AddDevices(s, all, given)
	return nil
}

// visibleDevices is the variable by which NVIDIA's images ask for devices. Here it grants none; inside it tells what there is.
const visibleDevices = "NVIDIA_VISIBLE_DEVICES="

// need is what the job needs to use its GPUs; variables are the image's variables and the user's.
func (d *Devices) need(ctx context.Context, w Job, variables []string) (spec.Devices, error) {
	g := d.gpus
	if g == nil {
		return spec.Devices{}, nil
	}
	if err := g.failed(); err != nil {
		return spec.Devices{}, err
	}
	capabilities, unknown := gpu.DriverCapabilities(variables)
	if len(g.asked.GPUs.Capabilities) > 0 {
		capabilities = g.asked.GPUs.Capabilities
	} else if len(unknown) > 0 {
		d.notice("NVIDIA_DRIVER_CAPABILITIES: there is no " + strings.Join(unknown, ", "))
	}
	text, err := g.helper.Spec(ctx, gpu.SpecRequest{UUIDs: g.uuids(), Capabilities: capabilities, CUDACompat: d.asked.Compat, Jetson: g.jetson})
	if err != nil {
		return spec.Devices{}, err
	}
	found, err := cdi.Own(text)
	if err != nil {
		return spec.Devices{}, fmt.Errorf("%w: %w", gpu.ErrHelper, err)
	}
	hurry(found.Hooks, g.asked.Place.Patience)
	found, dir := cdi.Apart(found, covered(w.Volumes), libraryNames)
	if dir != "" {
		d.notice("the GPUs' driver is in " + dir + " and found by LD_LIBRARY_PATH: a volume is where its libraries or their cache belong")
	}
	found.Env = slices.DeleteFunc(found.Env, func(v string) bool { return strings.HasPrefix(v, visibleDevices) })
	found.Env = append(found.Env, gpu.Environment(g.chosen)...)
	for _, text := range slices.Concat(g.notes, g.helper.Warnings(), gpu.Unmet(variables, g.inventory, g.chosen), g.others()) {
		d.notice(text)
	}
	return found, nil
}

// hurry lets the driver's hooks take no longer than whoever runs the job has patience with the driver; 0: as they say. An image can
// make one wait for ever: by a FIFO in place of a file that it reads.
func hurry(hooks *specs.Hooks, patience time.Duration) {
	if hooks == nil || patience == 0 {
		return
	}
	most := max(1, int(patience/time.Second))
	for _, list := range [][]specs.Hook{hooks.CreateRuntime, hooks.CreateContainer, hooks.StartContainer} {
		for _, hook := range list {
			if hook.Timeout != nil {
				*hook.Timeout = min(*hook.Timeout, most)
			}
		}
	}
}

// covered are the places where files of the user's are: what is written there is not the container's alone, if it can be written.
func covered(volumes []spec.Volume) (targets []string) {
	for _, v := range volumes {
		if v.Type != spec.Tmpfs {
			targets = append(targets, path.Clean(v.Target))
		}
	}
	return targets
}

// libraryNames are what links beside a library call it: its soname is one of them, wherever the loader finds it. Where the driver
// lies there without links, it is named as all but a few of its libraries are.
func libraryNames(file string) (names []string) {
	dir, base := path.Split(file)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // the mount will say so
	}
	stem, _, shared := strings.Cut(base, ".so.")
	for _, entry := range entries {
		if entry.Type()&fs.ModeSymlink == 0 || !strings.HasPrefix(entry.Name(), stem) {
			continue
		}
		if to, err := filepath.EvalSymlinks(dir + entry.Name()); err == nil && path.Base(to) == base {
			names = append(names, entry.Name())
		}
	}
	if shared && len(names) == 0 {
		names = append(names, stem+".so.1")
	}
	return names
}

// others says when a repeated run has other devices than the first, or another driver. That of the kernel is looked at before.
func (g *gpus) others() (texts []string) {
	before, now := g.asked.Preferred, g.uuids()
	if len(before) > 0 && !slices.Equal(before, now) {
		texts = append(texts, fmt.Sprintf("changed since that run: its GPUs were %s, and these are %s", strings.Join(before, ", "), strings.Join(now, ", ")))
	}
	if was := g.asked.Driver; was != "" && was != g.inventory.Driver && host.NvidiaDriver() == "" {
		texts = append(texts, fmt.Sprintf("changed since that run: the NVIDIA driver is %s; it was %s", g.inventory.Driver, was))
	}
	return texts
}

// records are the record's form of the job's GPUs, and of what drives them.
func (g *gpus) records() (list []record.GPU, driver *record.GPUDriver) {
	if g == nil || g.failed() != nil || g.board != nil {
		return nil, nil
	}
	for i, c := range g.chosen {
		rec := record.GPU{
			Index: i, Vendor: "nvidia", UUID: c.UUID(), Name: c.Device.Name, PCI: c.Device.PCI,
			MemoryBytes: int64(c.Device.MemoryBytes), Compute: c.Device.Compute, HostIndex: &c.Device.Index,
		}
		if c.Instance != nil {
			rec.MIG, rec.Parent, rec.MemoryBytes = c.Instance.Profile, c.Device.UUID, int64(c.Instance.MemoryBytes)
		}
		list = append(list, rec)
	}
	return list, &record.GPUDriver{Version: g.inventory.Driver, CUDA: g.inventory.CUDA, Root: g.inventory.DriverRoot, Compat: string(g.asked.Compat)}
}

// WithoutHostNumbers are a caller's variables without those that number the host's devices, where the job has some of its own.
func (d Request) WithoutHostNumbers(environ []string) []string {
	if d.GPUs.None() && len(d.Names) == 0 {
		return environ
	}
	return slices.DeleteFunc(environ, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(gpu.HostNumbers, name)
	})
}

// Error is one about the job's devices, not about its image.
type Error struct{ error }

func (e Error) Unwrap() error { return e.error }
