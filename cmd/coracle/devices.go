package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/internal/device"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/spec"
)

// deviceFlags are the host's devices that a job gets.
func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "gpus", Usage: "Give the job NVIDIA GPUs: `WHICH` are all, none, a number, device=0,1, GPU-UUID, MIG-UUID, or 0:1"},
		&line.List{Name: "device", Usage: "Give the job a `DEVICE`: /dev/x[:/dev/y], VENDOR/CLASS=NAME of a CDI specification, or infiniband"},
		&cli.StringFlag{Name: "driver-root", Usage: "Find NVIDIA's driver in `DIR`: the root of a system that has it, or the directory in which all of it lies (default: as configured, else the usual places)"},
		&cli.StringFlag{Name: "cuda-compat", Usage: "Use the image's CUDA compatibility libraries `WHEN`: auto (the driver is older, the default), off or force"},
	}
}

// deviceOptions reads which devices a job gets.
func deviceOptions(c *cli.Context) (d device.Request, err error) {
	d.Names = line.Values(c, "device")
	if c.IsSet("gpus") {
		if d.GPUs, err = gpu.ParseSelection(c.String("gpus")); err != nil {
			return d, err
		}
	}
	if d.Compat, err = cudaCompat(c.String("cuda-compat")); err != nil {
		return d, err
	}
	if !d.GPUs.None() {
		if d.Place, err = driverPlace(c, c.String("driver-root")); err != nil {
			return d, err
		}
		d.Preferred, d.Driver = repeatedGPUs(c)
	}
	if len(d.Names) > 0 {
		d.Files.Root = os.Getenv(sysfsRoot)
		d.Config, _ = os.UserConfigDir() // without one there is no specification of the caller's own
	}
	return d, nil
}

func cudaCompat(text string) (gpu.Compat, error) {
	switch compat := gpu.Compat(text); compat {
	case "", gpu.CompatAuto, gpu.CompatOff, gpu.CompatForce:
		return compat, nil
	}
	return "", usagef(jobCommand, "--cuda-compat is %s, %s or %s, not %q", gpu.CompatAuto, gpu.CompatOff, gpu.CompatForce, text)
}

// driverPlace says where the driver is looked for, by whom, and for how long.
func driverPlace(c *cli.Context, root string) (p gpu.Place, err error) {
	set, err := configuration(c)
	if err != nil {
		return p, err
	}
	name, configured := "--driver-root", set.Get("gpu.driver_root")
	switch {
	case root != "":
		if root, err = filepath.Abs(root); err == nil {
			err = set.Choice(configured.Key, root)
		}
		if err != nil {
			return p, err
		}
	case configured.Set():
		root, name = configured.Text(), configured.Items[0].Where()
		if configured.Origin() != config.Environment {
			name += ": " + configured.Key
		}
	}
	if root != "" {
		p.DriverRoot = root
		if info, err := os.Stat(root); err != nil || !info.IsDir() {
			return p, fmt.Errorf("%w: %s %s: no such directory", spec.ErrOption, name, root)
		}
	}
	p.Helper = set.Get("gpu.helper").Text()
	if timeout := set.Get("gpu.timeout"); timeout.Set() {
		if p.Patience, err = grace(c.Command.Name, timeout.Items[0].Where(), timeout.Text()); err != nil {
			return p, err
		}
	}
	return p, nil
}
