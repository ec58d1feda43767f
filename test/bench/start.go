package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// filteredCrun is what Coracle's start is held against: the fastest OCI runtime, with as much isolation.
const filteredCrun = "crun, filtered"

// shapes are the images that are started. The first one is for all contenders, the others for those whom it concerns.
var shapes = []struct {
	layers int
	user   string
}{{4, ""}, {4, "1000"}, {60, ""}, {60, "1000"}}

// startTables measures the start of a container.
func startTables(ctx context.Context, b *workshop, o options) (tables []table, err error) {
	for i, shape := range shapes {
		name := fmt.Sprintf("start-%d-%s", shape.layers, cmp.Or(shape.user, "root"))
		f, err := startField(ctx, b, name, shape.layers, shape.user)
		if err != nil {
			return tables, err
		}
		f.subject = fmt.Sprintf("`true` in a container of %d layers, USER %s", shape.layers, cmp.Or(shape.user, "root"))
		if i > 0 {
			f.contenders = slices.DeleteFunc(f.contenders, func(c contender) bool { return !slices.Contains(whoseImage, c.name) })
		}
		t, err := f.run(ctx, name, o, b)
		if err == nil && o.budget && installed(b.coracle) {
			subject := f.contenders[slices.IndexFunc(f.contenders, func(c contender) bool { return c.name == "coracle" })]
			t.Budget, err = measureBudget(ctx, b, subject, t.Rounds)
		}
		if tables = append(tables, t); err != nil {
			return tables, err
		}
	}
	return tables, nil
}

// whoseImage are those for whom the image makes a difference, and who they are held against.
var whoseImage = []string{filteredCrun, "podman", "coracle", subuidCoracle}

// subuidCoracle needs a user with subordinate ids, which -ranges brings.
const subuidCoracle = "coracle, subuid"

// startField makes what is started: `true` of one image, as a tree for those who take trees, as bundles for the OCI
// runtimes, and in the stores of those who have stores.
func startField(ctx context.Context, b *workshop, name string, layers int, user string) (field, error) {
	image, err := busybox(filepath.Join(b.dir, name), layers, user)
	if err != nil {
		return field{}, err
	}
	r := serve(image, link{})
	b.stop = append(b.stop, r.stop)
	trees := filepath.Join(b.dir, name+"-trees")
	if err := unpack(ctx, image, trees); err != nil {
		return field{}, err
	}
	root := filepath.Join(trees, "0")
	f := field{
		columns: startColumns, reference: filteredCrun, peer: "podman", rounds: 50, warmup: 3,
		watch: time.Millisecond / 2, extra: 5,
		contenders: []contender{
			{name: "fork and exec", program: "/bin/true", command: always("/bin/true")},
			{name: "ch-run", program: "ch-run", command: always("ch-run", root, "--", "/bin/true")},
			{name: "bwrap", program: "bwrap", command: always("bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
				"--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true")},
		},
	}
	runtimes, err := ociRuntimes(ctx, b, name, root)
	f.contenders = append(append(f.contenders, runtimes...), startPodman(ctx, b, r.ref), startCoracle(ctx, b, r.ref, "coracle"),
		startCoracle(ctx, b, r.ref, subuidCoracle, "--userns", "subuid"), startCoracle(ctx, b, r.ref, "coracle, private network", "--network", "private"))
	return f, err
}

// always is a contender's command that is the same in every run.
func always(argv ...string) func(context.Context, int) *exec.Cmd {
	return func(ctx context.Context, _ int) *exec.Cmd { return exec.CommandContext(ctx, argv[0], argv[1:]...) }
}

// ociRuntimes are crun and runc, each bare and with the default seccomp filter.
func ociRuntimes(ctx context.Context, b *workshop, name, root string) (contenders []contender, err error) {
	for _, kind := range []struct {
		suffix   string
		filtered bool
	}{{", no filter", false}, {", filtered", true}} {
		bundle := filepath.Join(b.dir, fmt.Sprintf("%s-bundle-%t", name, kind.filtered))
		if err := writeBundle(ctx, bundle, root, kind.filtered, "/bin/true"); err != nil {
			return nil, err
		}
		for _, tool := range []string{"crun", "runc"} {
			contenders = append(contenders, contender{name: tool + kind.suffix, program: tool,
				command: func(ctx context.Context, number int) *exec.Cmd {
					argv := []string{"--root", filepath.Join(b.dir, tool), "run", "--bundle", bundle, fmt.Sprintf("%s-%d", name, number)}
					if tool == "crun" {
						// It refuses hybrid cgroups otherwise. What runc cannot have it leaves out by itself.
						argv = append([]string{"--cgroup-manager", "disabled"}, argv...)
					}
					return exec.CommandContext(ctx, tool, argv...)
				}})
		}
	}
	return contenders, nil
}

// startCoracle runs with a store in which the image is already, and settled: what the pull leaves behind to do that has ended before
// the first round (lateComers).
func startCoracle(ctx context.Context, b *workshop, ref, name string, flags ...string) contender {
	store := filepath.Join(b.dir, "coracle")
	c := contender{name: name, program: b.coracle}
	settling := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := coracle(ctx, b, store, args...)
		cmd.Env = append(cmd.Env, "CORACLE_NO_SETTLE=") // which is set where a store goes at once
		return cmd
	}
	c.command = func(ctx context.Context, _ int) *exec.Cmd {
		return settling(ctx, slices.Concat([]string{"run", "--pull", "never"}, flags, []string{ref, "true"})...)
	}
	pull := []string{"pull", ref}
	if len(flags) > 0 { // layers with their owners are others
		pull = slices.Concat([]string{"run"}, flags, []string{ref, "true"})
	}
	c.before = once(func() error { return quietly(settling(ctx, pull...)) })
	return c
}

func coracle(ctx context.Context, b *workshop, store string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.coracle, args...)
	cmd.Env = append(os.Environ(), "CORACLE_ROOT="+store)
	return cmd
}

// once makes a function that acts at its first call.
func once(act func() error) func() error {
	done := false
	return func() error {
		if done {
			return nil
		}
		done = true
		return act()
	}
}

// quietly runs a command; an error carries the end of its output.
func quietly(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, tail(string(out)))
	}
	return nil
}
