package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/hint"
	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/doctor"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
)

const doctorDescription = `
Tries what a run does, with nothing left of it: a container, a network of its
own, subordinate ids, control groups, the disk of the layers; and looks at what
jobs need beside: GPUs and their driver, limits, the clock, the registry. With
an image, it also says before a pull whether that can be had, fits the disk, is
made for this machine, and finds the CUDA that it wants.

Each line is ok; a note, where something that only some runs ask for is not to
be had; a warning, where runs are worse than they could be; or a failure, where
they fail. What is not ok is followed by what that means, and by what mends it.

Inside a batch job the node of that job is examined: srun coracle doctor.
--offline asks nothing of the network.

Examples:
  coracle doctor
  coracle doctor pytorch/pytorch:latest
  srun --gpus 1 coracle doctor --offline
  coracle doctor --json | jq '.checks[] | select(.state == "failure")'

Exit codes:
  0      nothing is worse than a note
  1      there are warnings
  2      there are failures
  125    the node could not be examined
`

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "Examine this node, and an image on it, before a run does",
		ArgsUsage:   "[IMAGE]",
		Description: doctorDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "platform", Usage: "Examine the image for another platform, `OS/ARCH` or OS/ARCH/VARIANT"},
			&cli.BoolFlag{Name: "insecure", Usage: "Allow plain http and unverified certificates for the image's registry"},
			&cli.BoolFlag{Name: "offline", Usage: "Ask nothing of the network"},
			&cli.StringFlag{Name: "driver-root", Usage: "Find NVIDIA's driver in `DIR`, as 'coracle run' does (default: as configured, else the usual places)"},
			jsonFlag(),
		},
		Action: doctorAction,
	}
}

// ailing is the end of an examination that has found something.
type ailing struct{ code int }

func (ailing) Error() string { return "something is to be mended" }

// ExitCode says how bad it is.
func (e ailing) ExitCode() int { return e.code }

// Silent is true: it has been said.
func (ailing) Silent() bool { return true }

func doctorAction(c *cli.Context) error {
	if err := atMost(c, 1); err != nil {
		return err
	}
	options, err := doctorOptions(c)
	if err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	report, err := doctor.Examine(ctx, options)
	if stopped := interrupted(ctx); stopped != nil {
		return failing(c, stopped)
	}
	if err != nil {
		return failing(c, err)
	}
	if c.Bool("json") {
		err = printer(c).JSON(report)
	} else {
		err = printFindings(printer(c), report)
	}
	switch {
	case err != nil:
		return failing(c, err)
	case report.Worst == doctor.Failure:
		return ailing{2}
	case report.Worst == doctor.Warning:
		return ailing{1}
	}
	return nil
}

func doctorOptions(c *cli.Context) (o doctor.Options, err error) {
	set, err := configuration(c)
	if err != nil {
		return o, err
	}
	layers := layersFlag(c)
	env, roots, err := storePlaces(set, layers)
	if err != nil {
		return o, err
	}
	o = doctor.Options{
		Platform: c.String("platform"), Offline: c.Bool("offline"), Environ: os.Environ(), Advise: hint.Plain,
		Store:    func() (*location.Trial, error) { return location.Try(env, layers, roots...) },
		Client:   func(note func(text string)) *registry.Client { return client(c, note) },
		Permit:   func(name catalog.Name) error { return permitName(c, name) },
		GPUFiles: sysfs.Tree{Root: os.Getenv(sysfsRoot)},
	}
	if o.Asked = c.Args().First(); c.NArg() > 0 {
		name, err := catalog.Parse(o.Asked)
		if err != nil {
			return o, err
		}
		o.Image = &name
	}
	o.GPU, err = driverPlace(c, c.String("driver-root"))
	return o, err
}

// marks are how states are shown on a terminal.
var marks = map[doctor.State]ui.Mark{doctor.OK: ui.Fine, doctor.Note: ui.Neutral, doctor.Warning: ui.Strong, doctor.Failure: ui.Bad}

func printFindings(p *ui.Printer, r doctor.Report) error {
	list := ui.Checklist{}
	for _, f := range r.Checks {
		item := ui.Item{Mark: marks[f.State], State: string(f.State), Name: f.Check, Text: f.Found}
		if f.State != doctor.OK {
			item.Below = append(item.Below, f.Why)
			if f.Fix != "" {
				item.Below = append(item.Below, fmt.Sprintf("fix (%s): %s", f.Who, f.Fix))
			}
		}
		list.Items = append(list.Items, item)
	}
	if err := p.Checklist(list); err != nil {
		return err
	}
	var counts []string
	for _, s := range []doctor.State{doctor.Failure, doctor.Warning, doctor.Note} {
		if n := r.Count(s); n > 0 {
			counts = append(counts, count(n, string(s)))
		}
	}
	counts = append(counts, fmt.Sprintf("%d ok", r.Count(doctor.OK)))
	return p.Line("\n%s: %s", r.Node, strings.Join(counts, ", "))
}
