package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/runtime/spec"
)

func volumeFlag() cli.Flag {
	return &line.List{Name: "volume", Aliases: []string{"v"}, Usage: "Mount `HOST:CONTAINER[:ro]`, a directory or a file of the host, or the volume NAME:CONTAINER, made when it is missing"}
}

func mountFlag() cli.Flag {
	return &line.List{Name: "mount", Usage: "Mount by `OPTIONS`: type=bind, volume or image with source= and target= [,readonly], or type=tmpfs,target=[,tmpfs-size=]"}
}

func tmpfsFlag() cli.Flag {
	return &line.List{Name: "tmpfs", Usage: "Mount memory on `DIR[:OPTIONS]`: size=, mode=, noexec, ro, ..."}
}

func mountCwdFlag() cli.Flag {
	return &cli.BoolFlag{Name: "mount-cwd", Usage: "Mount the current directory on the same path, and start in it"}
}

func homeFlag() cli.Flag {
	return &cli.BoolFlag{Name: "home", Usage: "Mount your home directory on the same path, as the job's home"}
}

func fileOptions(c *cli.Context) (spec.Filesystem, error) {
	f := spec.Filesystem{ReadOnly: c.Bool("read-only")}
	var err error
	if f.ShmBytes, err = sizeFlag(c, "shm-size"); err != nil {
		return f, err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return f, fmt.Errorf("finding the working directory: %w", err)
	}
	for _, kind := range []struct {
		flag  string
		parse func(text, cwd string) (spec.Volume, error)
	}{
		{"volume", spec.ParseVolume}, {"mount", spec.ParseMount},
		{"tmpfs", func(text, _ string) (spec.Volume, error) { return spec.ParseTmpfs(text) }},
	} {
		for _, text := range line.Values(c, kind.flag) {
			v, err := kind.parse(text, cwd)
			if err != nil {
				return f, adviseKey(err)
			}
			f.Volumes = append(f.Volumes, v)
		}
	}
	f.Volumes, err = setVolumes(c, cwd, f.Volumes)
	return f, err
}

// adviseKey names the option of a volume that was probably meant.
func adviseKey(err error) error {
	key, ok := errors.AsType[*spec.KeyError](err)
	if !ok {
		return err
	}
	if name := line.Nearest(key.Key, key.Known); name != "" {
		return &line.UsageError{Command: jobCommand, Problem: err.Error(), Advice: fmt.Sprintf("did you mean %s?", name)}
	}
	return err
}

// addPlaces mounts directories of the caller's where the caller has them.
func addPlaces(c *cli.Context, p *spec.Process, f *spec.Filesystem) error {
	var places []string
	if c.Bool("home") {
		home := os.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return usagef(jobCommand, "--home: $HOME names no directory: %q", home)
		}
		places = append(places, filepath.Clean(home))
		p.Env = append([]string{"HOME=" + home}, p.Env...) // -e says more
	}
	if c.Bool("mount-cwd") {
		cwd, err := os.Getwd()
		if err != nil {
			return fmt.Errorf("finding the working directory: %w", err)
		}
		places = append(places, cwd)
		if p.Workdir == "" {
			p.Workdir = cwd
		}
	}
	for _, dir := range slices.Compact(places) {
		f.Volumes = append(f.Volumes, spec.Volume{Type: spec.Bind, Source: dir, Target: dir})
	}
	return nil
}
