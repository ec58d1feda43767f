package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/gpus"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
)

const gpusDescription = `
GPU is what 'coracle run --gpus device=GPU' takes, 0:1 being instance 1 of GPU
0; other vendors' GPUs are named by the file that 'coracle run --device' takes.
USED BY are runs of yours by their ids, and other processes by their numbers.
What is not known is shown as --; --json has the reason.

Examples:
  coracle gpus
  coracle gpus -q
  coracle gpus --format '{{.ID}} {{.UUID}} {{.MemoryUsed}}'
  coracle gpus --json | jq -r '.gpus[] | select(.users == []) | .uuid'

Exit codes:
  0      there is a GPU that a job could have
  1      there is none, and what there is has been listed
  125    Coracle failed: the driver does not work or does not answer, ...
`

func gpusCommand() *cli.Command {
	return &cli.Command{
		Name:        "gpus",
		Usage:       "List the GPUs of this machine and who uses them",
		Description: gpusDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Print only the UUIDs of those that a job could have"},
			&cli.BoolFlag{Name: "no-trunc", Usage: "Print whole UUIDs and ids"},
			&cli.StringFlag{Name: "format", Usage: "Print each GPU by `TEMPLATE`, such as '{{.ID}} {{.Name}}'"},
			&cli.StringFlag{Name: "driver-root", Usage: "Find NVIDIA's driver in `DIR`, as 'coracle run' does (default: as configured, else the usual places)"},
			jsonFlag(),
		},
		Action: gpusAction,
	}
}

// sysfsRoot is the variable that names the directory below which /sys is looked for.
const sysfsRoot = "CORACLE_SYSFS_ROOT"

// noGPUError is the status of a machine without a GPU that a job could have. What there is has been printed.
type noGPUError struct{}

func (noGPUError) Error() string { return "there is no GPU that a job could have" }

// ExitCode says that nothing has failed.
func (noGPUError) ExitCode() int { return 1 }

// Silent is true: it has been said.
func (noGPUError) Silent() bool { return true }

func gpusAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	text := c.String("format")
	format, err := template.ParseRows[gpuRow](commandName(c), text, gpuFields)
	if err != nil {
		return err
	}
	place, err := driverPlace(c, c.String("driver-root"))
	if err != nil {
		return failing(c, err)
	}
	p := printer(c)
	runs, err := gpuRuns(c)
	if err != nil {
		p.Warn("which runs use them is not known: %v", err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	list, err := gpus.Read(ctx, gpus.Options{
		Place: place, Files: sysfs.Tree{Root: os.Getenv(sysfsRoot)}, Runs: runs, Slow: func() { p.Note("waiting for the GPUs' driver") },
	})
	if stopped := interrupted(ctx); stopped != nil {
		return stopped
	}
	if err != nil && (len(list.GPUs) == 0 || !errors.Is(err, gpu.ErrNoDriver)) {
		return gpusFailed(c, list, err)
	}
	if err := printGPUs(c, format, list); err != nil {
		return failing(c, err)
	}
	for i := range list.GPUs {
		if list.GPUs[i].Usable() {
			return nil
		}
	}
	return noGPUError{}
}

// gpusFailed is the end when NVIDIA's driver has not told of its GPUs. A machine that has none is no failure.
func gpusFailed(c *cli.Context, list gpus.List, err error) error {
	none := errors.Is(err, gpu.ErrNoDriver)
	if len(list.GPUs) > 0 || c.Bool("json") && none {
		if err := printGPUs(c, template.Rows[gpuRow]{}, list); err != nil {
			return failing(c, err)
		}
	}
	if !none {
		return failing(c, err)
	}
	printer(c).Note("coracle: no GPU: %v", err)
	return noGPUError{}
}

// gpuRuns are the runs that are going on and have GPUs.
func gpuRuns(c *cli.Context) (list []gpus.Run, err error) {
	s, err := openStore(c)
	if err != nil {
		return nil, err
	}
	leases, err := s.Leases()
	if err != nil {
		return nil, err
	}
	runs := record.Open(s.Dirs().Data)
	for _, lease := range leases {
		if lease.Run == "" {
			continue
		}
		v, err := runs.Get(filepath.Base(lease.Run))
		if err != nil || v.State != record.Running {
			continue // it has ended meanwhile, or is not on record yet
		}
		run := gpus.Run{ID: v.ID, Name: v.Name, Owner: v.Supervisor}
		for _, g := range v.GPUs {
			run.UUIDs = append(run.UUIDs, g.UUID)
		}
		list = append(list, run)
	}
	return list, nil
}

func printGPUs(c *cli.Context, format template.Rows[gpuRow], list gpus.List) error {
	p, text, whole := printer(c), c.String("format"), c.Bool("no-trunc")
	switch {
	case c.Bool("json"), text == "json":
		return p.JSON(list)
	case c.Bool("quiet"):
		for _, g := range eachGPU(list) {
			if g.Usable() && !g.MIG && g.UUID != "" {
				if err := p.Line("%s", g.UUID); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, w := range list.Warnings {
		p.Warn("%s", w)
	}
	if text != "" && text != "table" {
		rows := gpuRows(list, true)
		for i := range rows {
			rows[i].escape()
		}
		return format.Print(p, gpuHeading, rows)
	}
	if d := list.Driver; d != nil {
		line := "NVIDIA driver " + d.Version
		if d.CUDA != "" {
			line += ", CUDA " + d.CUDA
		}
		if d.Root != "" {
			line += ", in " + d.Root
		}
		if err := cmp.Or(p.Line("%s", line), p.Line("")); err != nil {
			return err
		}
	}
	return p.Table(gpuTable(gpuRows(list, whole)))
}

// eachGPU are all devices, each followed by its instances.
func eachGPU(list gpus.List) (all []gpus.GPU) {
	for _, g := range list.GPUs {
		all = append(append(all, g), g.Instances...)
	}
	return all
}

// gpuRow is what a --format template sees of a device.
type gpuRow struct {
	ID, Name, UUID, Vendor, PCI, Memory, MemoryUsed, Utilization, Power, Temperature, Driver, CUDA, Profile, Users, Status string
}

// escape makes what others have said harmless for a terminal, as tables do themselves.
func (r *gpuRow) escape() {
	for _, text := range []*string{&r.ID, &r.Name, &r.UUID, &r.PCI, &r.Driver, &r.CUDA, &r.Profile, &r.Users, &r.Status} {
		*text = ui.Escape(*text)
	}
}

const gpuFields = ".ID .Name .UUID .Vendor .PCI .Memory .MemoryUsed .Utilization .Power .Temperature .Driver .CUDA .Profile .Users .Status"

var gpuHeading = gpuRow{
	"GPU", "NAME", "UUID", "VENDOR", "PCI", "MEMORY", "USED", "GPU %", "POWER", "TEMP", "DRIVER", "CUDA", "PROFILE", "USED BY", "STATUS",
}

// gpuRows are the devices as people read them.
func gpuRows(list gpus.List, whole bool) (rows []gpuRow) {
	for _, g := range eachGPU(list) {
		r := gpuRow{
			ID: g.ID, Name: cmp.Or(strings.TrimSpace(g.Name+" "+g.Profile), unknown), UUID: g.UUID, Vendor: g.Vendor, PCI: g.PCI,
			Memory: unknown, MemoryUsed: unknown, Utilization: percent(g.Utilization, 1), Power: measured(g.Power, "W"), Temperature: measured(g.Celsius, "°C"),
			Profile: g.Profile, Users: usersText(g.Users, whole), Status: cmp.Or(g.Unusable, "ok"),
		}
		if g.MemoryBytes > 0 {
			r.Memory = ui.Memory(int64(g.MemoryBytes))
		}
		if g.MemoryUsed != nil {
			r.MemoryUsed = ui.Memory(int64(*g.MemoryUsed))
		}
		if g.MIG && g.Unusable == "" {
			r.Status = fmt.Sprintf("in MIG mode, %d instances", len(g.Instances))
		}
		if list.Driver != nil && g.Vendor == sysfs.NVIDIA {
			r.Driver, r.CUDA = list.Driver.Version, list.Driver.CUDA
		}
		if prefix, rest, ok := strings.Cut(r.UUID, "-"); ok && !whole && len(rest) > 8 && prefix != "PCI" {
			r.UUID = prefix + "-" + rest[:8] // as much as --gpus needs
		}
		rows = append(rows, r)
	}
	return rows
}

func measured(v *float64, unit string) string {
	if v == nil {
		return unknown
	}
	return fmt.Sprintf("%.0f %s", *v, unit)
}

// usersText names runs by their ids, and other processes by their numbers.
func usersText(users []gpus.User, whole bool) string {
	const short = 10
	var texts []string
	for _, u := range users {
		var name string
		switch {
		case u.Run != "" && whole:
			name = strings.TrimSpace(u.Run + " " + u.RunName)
		case u.Run != "":
			name = strings.TrimSpace(u.Run[:min(short, len(u.Run))] + " " + u.RunName)
		default:
			name = strings.TrimSpace(fmt.Sprintf("%d %s", u.PID, u.Process))
		}
		if u.MemoryBytes > 0 {
			name += " (" + ui.Memory(int64(u.MemoryBytes)) + ")"
		}
		texts = append(texts, name)
	}
	return strings.Join(texts, ", ")
}

func gpuTable(rows []gpuRow) ui.Table {
	t := ui.Table{Columns: []ui.Column{
		{Title: "GPU"}, {Title: "NAME", Cut: ui.Back}, {Title: "UUID"}, {Title: "USED / MEMORY"}, {Title: "GPU %"}, {Title: "POWER"}, {Title: "TEMP"}, {Title: "STATUS", Cut: ui.Back}, {Title: "USED BY", Cut: ui.Back},
	}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{r.ID, r.Name, r.UUID, r.MemoryUsed + " / " + r.Memory, r.Utilization, r.Power, r.Temperature, r.Status, r.Users})
	}
	return t
}
