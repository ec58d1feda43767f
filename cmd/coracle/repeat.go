package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// repeat makes the command line that repeats a run.
type repeat struct {
	view   record.View
	store  *store.Store
	given  []string // flags that take the place of the run's own
	argv   []string // command that takes the place of the job's; empty for none
	layers string   // --layers
	lookup func(string) (string, bool)

	gaps    []string
	changes []string
}

func (r *repeat) gap(format string, args ...any) {
	r.gaps = append(r.gaps, fmt.Sprintf(format, args...))
}

func (r *repeat) changed(format string, args ...any) {
	r.changes = append(r.changes, fmt.Sprintf(format, args...))
}

// command is the whole line, the program's name first.
func (r *repeat) command(ctx context.Context) ([]string, error) {
	image, err := r.image(ctx)
	if err != nil {
		return nil, err
	}
	words := []string{line.Program}
	if r.layers != "" {
		words = append(words, "--layers="+r.layers)
	}
	words = append(words, jobCommand)
	words = append(words, r.carried()...)
	words = append(words, r.driverRoot()...)
	words = append(words, r.process()...)
	words = append(words, r.environment()...)
	words = append(words, r.mounts()...)
	words = append(words, r.given...)
	argv := r.argv
	if len(argv) == 0 {
		argv = r.view.Argv
		if places := r.redacted("argv["); len(places) > 0 {
			return nil, &redactedError{places}
		}
	}
	r.look(ctx)
	return append(append(words, "--", image), argv...), nil
}

// redacted are the places of the record that begin so, and from which a secret was taken out.
func (r *repeat) redacted(beginning string) (places []string) {
	for _, place := range r.view.Redact {
		if strings.HasPrefix(place, beginning) {
			places = append(places, place)
		}
	}
	return places
}

// gives reports whether a flag was given, which then counts.
func (r *repeat) gives(name string) bool {
	return slices.ContainsFunc(r.given, func(flag string) bool { return strings.HasPrefix(flag, "--"+name+"=") })
}

// image names the image that ran, and no other: by its digest.
func (r *repeat) image(ctx context.Context) (string, error) {
	i := r.view.Image
	if i.Digest == "" {
		return "", errNoImage
	}
	name, err := catalog.Parse(i.Ref)
	switch {
	case err == nil && !name.IsArchive():
		r.lookTag(name.Ref, i.Digest)
		return name.Ref.WithDigest(digestOf(i.Digest)).String(), nil
	case r.stored():
		return i.Digest, nil
	case err != nil:
		return "", fmt.Errorf("%w: %s", store.ErrNotFound, i.Digest) // known by its id alone
	}
	image, err := findImage(ctx, r.store, i.Ref)
	if err != nil {
		return "", err
	}
	if image.Digest.String() != i.Digest {
		return "", fmt.Errorf("%w: %s: the archive %s has another one now", store.ErrNotFound, i.Digest, i.Ref)
	}
	return i.Ref, nil
}

func (r *repeat) stored() bool {
	image, err := r.store.Image(r.view.Image.Digest)
	return err == nil && image.Whole()
}

// lookTag says when a tag means another image now.
func (r *repeat) lookTag(ref registry.Ref, digest string) {
	if ref.Tag() == "" {
		return
	}
	if now, err := r.store.Image(ref.String()); err == nil && now.Digest.String() != digest {
		r.changed("%s means %s now; this runs %s, as then", ref.Familiar(), shortID(now.Digest.String(), false), shortID(digest, false))
	}
}

// rebuilt are the flags whose values the record has in a better form, or which say nothing of the job.
var rebuilt = []string{
	"env", "env-file", "entrypoint", "workdir", "user", "volume", "mount", "tmpfs", "mount-cwd", "home",
	"name", "pull", "platform", "quiet", "progress", "memory-budget", "rm", "summary", "detach", "detach-keys", dryRun,
}

// carried are the options of the run's own command line that hold for this one as they were written.
func (r *repeat) carried() (flags []string) {
	if len(r.view.Command) < 2 {
		r.gap("the options of its command line: limits, network and security are as by default")
		return nil
	}
	p := ui.New(nil, nil, func(string) string { return "" })
	parsed, err := line.Parse(newApp(p), r.view.Command[1:], ownArguments...)
	at := slices.Index(parsed.Args, jobCommand)
	if err != nil || at < 0 {
		r.gap("the options of its command line, which this Coracle does not understand: limits, network and security are as by default")
		return nil
	}
	for _, flag := range parsed.Args[at+1:] {
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		if flag == "--" {
			break
		}
		switch {
		case slices.Contains(rebuilt, name) || r.gives(name) || name == "driver-root" && r.view.Driver != nil:
			continue
		case strings.Contains(value, record.Redacted):
			r.gap("the value of --%s", name)
			continue
		case name == "share" && sched.Step(os.Environ()) == "":
			r.gap("the container of --share %s, which the run had together with other ranks: it has one of its own", value)
			continue
		case name == "upper":
			r.gap("what was in the writable layer %s, which this run leaves alone: it has one of its own, or that one with --upper %s", strings.TrimPrefix(value, keepPrefix), value)
			continue
		case name == "interactive":
			r.gap("what it read from its standard input")
		case name == "secret":
			r.gap("the secret of --secret %s, which is read again", value)
		case name == "security-opt" && strings.HasPrefix(value, "seccomp=") && strings.Contains(value, ".json"):
			r.gap("the profile of --security-opt %s, which is read again", value)
		}
		flags = append(flags, flag)
	}
	return append(r.settings(), flags...)
}

// settings are the options that the run had from a configuration, which may say something else now.
func (r *repeat) settings() (flags []string) {
	for _, s := range r.view.Settings {
		if slices.Contains(rebuilt, s.Option) || r.gives(s.Option) {
			continue
		}
		for _, value := range s.Values {
			flags = append(flags, "--"+s.Option+"="+value)
		}
	}
	return flags
}

// gpus are the UUIDs of the devices that the run had; none when others are asked for.
func (r *repeat) gpus() (uuids []string) {
	for _, g := range r.view.GPUs {
		if g.Vendor == sysfs.NVIDIA && !r.gives("gpus") { // others are asked for by their files
			uuids = append(uuids, g.UUID)
		}
	}
	return uuids
}

// driverRoot is where the driver was that the run used, given or found; it is looked for elsewhere when it is there no more.
func (r *repeat) driverRoot() (flags []string) {
	d := r.view.Driver
	if d == nil || d.Root == "" || r.gives("driver-root") {
		return nil
	}
	if info, err := os.Stat(d.Root); err != nil || !info.IsDir() {
		r.changed("the GPUs' driver was in %s, which is not there now", d.Root)
		return nil
	}
	return []string{"--driver-root=" + d.Root}
}

// driver is the version of what drove the run's devices; "" when it is not known.
func (r *repeat) driver() string {
	if r.view.Driver == nil {
		return ""
	}
	return r.view.Driver.Version
}

// process says where and as whom. The whole command is given: the image's entrypoint is part of it already.
func (r *repeat) process() (flags []string) {
	add := func(name, value string) {
		if !r.gives(name) {
			flags = append(flags, "--"+name+"="+value)
		}
	}
	add("entrypoint", "")
	if r.view.Cwd != "" {
		add("workdir", r.view.Cwd)
	}
	if who := r.view.UserNS; r.view.User != "" && who != "root" && who != "host-uid" && !r.gives("userns") {
		add("user", r.view.User)
	}
	if r.view.MPI != nil && r.view.UserNS == "host-uid" && !r.gives("user") { // PMIx had asked for it
		add("userns", r.view.UserNS)
	}
	return flags
}

// environment is what the user has set. Secrets come from the caller.
func (r *repeat) environment() (flags []string) {
	for _, name := range slices.Sorted(maps.Keys(r.view.Env.Set)) {
		value := r.view.Env.Set[name]
		if slices.ContainsFunc(r.given, func(flag string) bool {
			return flag == "--env="+name || strings.HasPrefix(flag, "--env="+name+"=")
		}) {
			continue
		}
		if !strings.Contains(value, record.Redacted) {
			flags = append(flags, "--env="+name+"="+value)
			continue
		}
		if _, ok := r.lookup(name); ok {
			r.gap("the value of %s, which is taken from your environment", name)
			flags = append(flags, "--env="+name)
		} else {
			r.gap("the value of %s, which is not in your environment either: the job runs without it", name)
		}
	}
	r.lookInherited()
	return flags
}

// lookInherited names the variables of the host that the job had and will not have.
func (r *repeat) lookInherited() {
	var missing []string
	for _, name := range r.view.Env.Names {
		inherits := len(sched.Inherited([]string{name + "="})) > 0
		threads := r.view.Limits.Threads > 0 && strings.HasPrefix(name, "OMP_") // Coracle sets them itself
		if _, ok := r.lookup(name); !ok && inherits && !threads {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		r.gap("the values of %s, which came from the host's environment and are not in yours", strings.Join(missing, ", "))
	}
}

// mounts are what was mounted, as --mount and --tmpfs take it.
func (r *repeat) mounts() (flags []string) {
	taken := r.givenTargets()
	for _, m := range r.view.Mounts {
		if slices.Contains(taken, m.Target) {
			continue
		}
		if strings.Contains(m.Source, record.Redacted) {
			r.gap("the source of the mount on %s, which is left out", m.Target)
			continue
		}
		if m.Type == spec.Tmpfs {
			flags = append(flags, "--tmpfs="+tmpfsText(m))
			continue
		}
		if m.Type == spec.Named && m.Name == "" {
			r.gap("what was in the volume without a name on %s: it begins empty", m.Target)
		}
		flags = append(flags, "--mount="+mountOptions(m))
	}
	return flags
}

// givenTargets are where the flags that were given mount something themselves.
func (r *repeat) givenTargets() (targets []string) {
	for _, flag := range r.given {
		name, text, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		parse := map[string]func(string, string) (spec.Volume, error){
			"volume": spec.ParseVolume, "mount": spec.ParseMount,
			"tmpfs": func(text, _ string) (spec.Volume, error) { return spec.ParseTmpfs(text) },
		}[name]
		if parse == nil {
			continue
		}
		if v, err := parse(text, "/"); err == nil { // else the run says what is wrong with it
			targets = append(targets, v.Target)
		}
	}
	return targets
}

func tmpfsText(m record.Mount) string {
	options := []string{m.Mode}
	for _, o := range m.Options {
		options = append(options, strings.TrimPrefix(o, "tmpfs-"))
	}
	return m.Target + ":" + strings.Join(options, ",")
}

// mountOptions is a mount as --mount takes it, with CSV's quoting.
func mountOptions(m record.Mount) string {
	fields := []string{"type=" + m.Type}
	switch {
	case m.Type == spec.Named && m.Name != "":
		fields = append(fields, "source="+m.Name)
	case m.Type == spec.Image && m.Digest != "":
		fields = append(fields, "source="+imageSource(m))
	case m.Type == spec.Bind:
		fields = append(fields, "source="+m.Source)
	}
	fields = append(fields, "target="+m.Target)
	if m.Mode == record.ReadOnly && m.Type != spec.Image {
		fields = append(fields, "readonly")
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(append(fields, m.Options...)) // a builder takes everything
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// imageSource is an image that was mounted, by its digest.
func imageSource(m record.Mount) string {
	name, err := catalog.Parse(m.Source)
	if err != nil || name.IsArchive() {
		return m.Digest
	}
	return name.Ref.WithDigest(digestOf(m.Digest)).String()
}
