package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Variables that say where a machine's GPU driver and what asks it are.
const (
	driverRoot = "CORACLE_DRIVER_ROOT"
	gpuHelper  = "CORACLE_NVIDIA_HELPER"
	gpuTimeout = "CORACLE_GPU_TIMEOUT"
)

// deviceFlags are the host's devices that a job gets.
func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "gpus", Usage: "Give the job NVIDIA GPUs: `WHICH` are all, none, a number, device=0,1, GPU-UUID, MIG-UUID, or 0:1"},
		&line.List{Name: "device", Usage: "Give the job a `DEVICE`: /dev/x[:/dev/y], VENDOR/CLASS=NAME of a CDI specification, or infiniband"},
		&cli.StringFlag{Name: "driver-root", Usage: "Find NVIDIA's driver in `DIR`: the root of a system that has it, or the directory in which all of it lies (default: $" + driverRoot + ", config.toml, else the usual places)"},
		&cli.StringFlag{Name: "cuda-compat", Usage: "Use the image's CUDA compatibility libraries `WHEN`: auto (the driver is older, the default), off or force"},
	}
}

// deviceOptions reads which devices a job gets.
func deviceOptions(c *cli.Context) (d job.Devices, err error) {
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
		if d.Place, err = driverPlace(c.String("driver-root")); err != nil {
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
func driverPlace(root string) (p gpu.Place, err error) {
	name := "--driver-root"
	if root == "" {
		root, name = os.Getenv(driverRoot), driverRoot
	}
	if root == "" {
		set, err := config.Read(config.Files()...)
		if err != nil {
			return p, err
		}
		root, name = set.GPU.DriverRoot, set.GPU.DriverRootFrom+": driver_root"
	}
	if root != "" {
		if p.DriverRoot, err = filepath.Abs(root); err != nil {
			return p, err
		}
		if info, err := os.Stat(p.DriverRoot); err != nil || !info.IsDir() {
			return p, fmt.Errorf("%w: %s %s: no such directory", spec.ErrOption, name, root)
		}
	}
	p.Helper = os.Getenv(gpuHelper)
	if text := os.Getenv(gpuTimeout); text != "" {
		if p.Patience, err = time.ParseDuration(text); err != nil || p.Patience <= 0 {
			return p, fmt.Errorf("%w: %s=%s: write 30s or 2m", spec.ErrOption, gpuTimeout, text)
		}
	}
	return p, nil
}
