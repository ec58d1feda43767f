package job

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/limit"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/network"
)

// describe is the record's account of what is about to run. s is nil when the image could not be had.
func (r *Runner) describe(o Options, image store.Image, s *specs.Spec, facts host.Facts, held limit.Held) (record.Run, error) {
	owner, err := host.Self()
	if err != nil {
		return record.Run{}, err
	}
	names, private := o.Network.records()
	run := record.Run{
		ID:         o.id,
		Control:    r.Store.UpperDir(o.id),
		Name:       o.Name,
		Project:    o.Labels.Project,
		Labels:     o.Labels.Set,
		Image:      imageRecord(o.Image, image),
		Argv:       o.Spec.Args,
		User:       o.User,
		UserNS:     string(o.UserNS),
		Env:        record.Env{Set: map[string]string{}},
		Hostname:   o.Spec.Hostname,
		Network:    string(cmp.Or(o.Network.Mode, network.Host)),
		Names:      names,
		Private:    private,
		Security:   record.Security{NoNewPrivs: !o.Spec.NewPrivileges, Seccomp: cmp.Or(o.Seccomp.Name, "default")},
		ReadOnly:   o.Spec.ReadOnly,
		TTY:        o.Spec.TTY,
		NoInit:     o.NoInit,
		Share:      r.shareRecord(o.Share),
		Restart:    o.Restart.Text,
		Upper:      o.upperText(),
		Limits:     held.Record(),
		Caller:     record.Caller{UID: os.Getuid(), GID: os.Getgid(), User: host.Username()},
		Host:       hostRecord(facts),
		Supervisor: owner,
		Scheduler:  sched.Identity(r.Environ),
		Task:       taskRecord(sched.Tasked(r.Environ)),
		Coracle:    r.Version,
		Command:    o.Command,
		RerunOf:    o.RerunOf,
		Settings:   o.Settings,
	}
	run.Limits.TimeoutSeconds = o.Watch.Timeout.Seconds()
	if cwd, err := os.Getwd(); err == nil {
		run.Git = gitRecord(cwd)
	}
	for _, v := range o.Spec.Env {
		name, value, _ := strings.Cut(v, "=")
		run.Env.Set[name] = value
	}
	if s == nil {
		return run, nil
	}
	if run.User == "" {
		run.User = image.Config.Config.User
	}
	run.Argv, run.Cwd = s.Process.Args, s.Process.Cwd
	run.Security.Capabilities = s.Process.Capabilities.Bounding
	run.Namespaces = append(run.Namespaces, "user")
	for _, n := range s.Linux.Namespaces {
		run.Namespaces = append(run.Namespaces, string(n.Type))
	}
	for _, v := range s.Process.Env {
		if name, _, _ := strings.Cut(v, "="); !hasKey(run.Env.Set, name) {
			run.Env.Names = append(run.Env.Names, name)
		}
	}
	slices.Sort(run.Env.Names)
	return run, nil
}

func taskRecord(t sched.Task) *record.Task {
	if t.Alone() {
		return nil
	}
	return &record.Task{Launcher: t.Launcher, Rank: t.Rank, Size: t.Size, LocalRank: t.LocalRank, LocalSize: t.LocalSize, Node: t.Node}
}

func hasKey(m map[string]string, key string) bool { _, ok := m[key]; return ok }

func imageRecord(asked string, image store.Image) record.Image {
	if image.Digest == "" {
		return record.Image{Ref: asked}
	}
	var layers []string
	for _, d := range image.Layers() {
		layers = append(layers, d.String())
	}
	return record.Image{
		Ref: cmp.Or(image.Ref, image.From, asked), Digest: image.Digest.String(), Index: image.Index.String(), Config: image.Manifest.Config.Digest.String(),
		Platform: registry.FormatPlatform(image.Platform), Layers: layers,
	}
}

func hostRecord(f host.Facts) record.Host {
	return record.Host{Hostname: f.Hostname, Kernel: f.Kernel, OS: f.OS, Arch: f.Arch, CPUs: f.CPUs, MemoryBytes: f.MemoryBytes, Driver: host.NvidiaDriver()}
}
