package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/runtime/cgroup"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// TryOptions say what a trial is to be like.
type TryOptions struct {
	Dir     string // a directory on the file system of the layers, in which the trial may write; the caller removes what is left
	UserNS  UserNS
	Network network.Mode
	Environ []string // the caller's
	Limits  cgroup.Limits
}

// Tried is what came of a trial.
type Tried struct {
	Namespaces error       // why there are none; the rest is empty then
	Groups     cgroup.Plan // how a job would be held to the limits
	Advice     string      // what would have more of them hold
	Encloses   cgroup.Enclosing
	Batch      string // the scheduler whose job this is

	Container error // why it did not run
	Made      rootfs.Made
	Took      time.Duration
}

// trialProgram is where a trial finds this program.
const trialProgram = "/coracle"

// Try runs a container as jobs are run, with this program, asked for its version, for a job: namespaces, a root made of a layer, mounts,
// the filter of system calls, the end. It leaves no record, no process, no mount and no control group.
func Try(ctx context.Context, o TryOptions) (t Tried, err error) {
	ids, err := o.UserNS.ids()
	if err != nil {
		return Tried{Namespaces: err}, nil
	}
	prepared := container.Prepare(ids)
	defer func() { err = errors.Join(err, prepared.Close()) }()
	if _, t.Namespaces = prepared.Pid(); t.Namespaces != nil {
		return t, nil
	}
	around := cgroup.Read(cgroup.Look{Batch: sched.Batch(o.Environ), Full: true})
	t.Batch, t.Encloses, t.Advice = around.Batch, around.Encloses, around.Advice()
	spare := container.Prepare(ids) // a scope that is given back ends what is in it
	t.Groups, err = around.Rehearse(ctx, o.Limits, cgroup.Job{ID: "trial-" + filepath.Base(o.Dir), Pid: spare.Pid})
	if err := errors.Join(err, spare.Close()); err != nil {
		return t, err
	}
	config, done, err := o.config(ctx, ids)
	if err != nil {
		t.Container = err
		return t, nil
	}
	defer func() { err = errors.Join(err, done()) }()
	start := time.Now()
	box, err := prepared.Start(ctx, config)
	if err != nil {
		t.Container = err
		return t, nil
	}
	exit, err := box.Wait()
	t.Took, t.Made = time.Since(start), box.Made
	if err == nil && exit.Code != 0 {
		t.Container = fmt.Errorf("%w: this program ended in it with status %d", container.ErrStart, exit.Code)
	}
	box.Over()
	err = errors.Join(err, box.Close())
	box.Gone()
	return t, err
}

// config is that of a container with one empty layer.
func (o TryOptions) config(ctx context.Context, ids host.IDMap) (_ container.Config, done func() error, err error) {
	facts, err := host.Read()
	if err != nil {
		return container.Config{}, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return container.Config{}, nil, err
	}
	n := Network{Mode: o.Network}
	if o.Network == network.Private {
		if err := n.plan(ctx, func(string) {}); err != nil {
			return container.Config{}, nil, err
		}
	}
	options := spec.Options{
		Process:    spec.Process{Args: []string{trialProgram, "--version"}},
		Filesystem: spec.Filesystem{Volumes: []spec.Volume{{Type: spec.Bind, Source: self, Target: trialProgram, ReadOnly: true}}},
		Hostname:   "trial", OwnNetwork: o.Network.Own(),
	}
	s, err := spec.New(ocispec.ImageConfig{}, options, spec.Host{CgroupV2: facts.CgroupV2, CgroupNamespaces: facts.CgroupNamespaces})
	if err != nil {
		return container.Config{}, nil, err
	}
	filter, err := Seccomp{}.filter(s.Process.Capabilities.Bounding)
	if err != nil {
		return container.Config{}, nil, err
	}
	layer, upper, work := filepath.Join(o.Dir, "layer"), filepath.Join(o.Dir, "upper"), filepath.Join(o.Dir, "work")
	for _, dir := range []string{layer, upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return container.Config{}, nil, err
		}
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return container.Config{}, nil, err
	}
	return container.Config{
		ID: "trial", Spec: s, Root: rootfs.Root{Layers: []string{layer}, Upper: upper, Work: work}, IDs: ids,
		Filter: filter, OwnFilter: true, Network: n.config, Stdin: nowhere, Stdout: nowhere, Stderr: nowhere,
	}, nowhere.Close, nil
}
