package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// filteredCrun is what Coracle's start is held against: the fastest OCI runtime, with as much isolation.
const filteredCrun = "crun, filtered"

// startTables measures the start of a container.
func startTables(ctx context.Context, b *workshop, o options) ([]table, error) {
	f, err := startField(ctx, b)
	if err != nil {
		return nil, err
	}
	t, err := f.run(ctx, "start", o, b)
	return []table{t}, err
}

// startField makes what is started: `true` of one image, as a tree for those who take trees, as bundles for the OCI
// runtimes, and in the stores of those who have stores.
func startField(ctx context.Context, b *workshop) (field, error) {
	image, err := busybox(filepath.Join(b.dir, "busybox"))
	if err != nil {
		return field{}, err
	}
	r := serve(image, link{})
	b.stop = append(b.stop, r.stop)
	trees := filepath.Join(b.dir, "trees")
	if err := unpack(ctx, image, trees); err != nil {
		return field{}, err
	}
	root := filepath.Join(trees, "0")
	f := field{
		subject: "`true` in a container", columns: startColumns, reference: filteredCrun, rounds: 30, warmup: 3,
		watch: time.Millisecond / 2, extra: 5,
		contenders: []contender{
			{name: "fork and exec", program: "/bin/true", command: always("/bin/true")},
			{name: "ch-run", program: "ch-run", command: always("ch-run", root, "--", "/bin/true")},
			{name: "bwrap", program: "bwrap", command: always("bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
				"--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true")},
		},
	}
	runtimes, err := ociRuntimes(ctx, b, root)
	f.contenders = append(append(f.contenders, runtimes...), startPodman(ctx, b, r.ref), startCoracle(ctx, b, r.ref))
	return f, err
}

// always is a contender's command that is the same in every run.
func always(argv ...string) func(context.Context, int) *exec.Cmd {
	return func(ctx context.Context, _ int) *exec.Cmd { return exec.CommandContext(ctx, argv[0], argv[1:]...) }
}

// ociRuntimes are crun and runc, each bare and with the default seccomp filter.
func ociRuntimes(ctx context.Context, b *workshop, root string) (contenders []contender, err error) {
	for _, kind := range []struct {
		suffix   string
		filtered bool
	}{{", no filter", false}, {", filtered", true}} {
		bundle := filepath.Join(b.dir, fmt.Sprintf("bundle-%t", kind.filtered))
		if err := writeBundle(ctx, bundle, root, kind.filtered, "/bin/true"); err != nil {
			return nil, err
		}
		for _, tool := range []string{"crun", "runc"} {
			contenders = append(contenders, contender{name: tool + kind.suffix, program: tool,
				command: func(ctx context.Context, number int) *exec.Cmd {
					argv := []string{"--root", filepath.Join(b.dir, tool), "run", "--bundle", bundle, fmt.Sprintf("bench%d", number)}
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

// startCoracle runs with a store in which the image is already.
func startCoracle(ctx context.Context, b *workshop, ref string) contender {
	store := filepath.Join(b.dir, "coracle")
	c := contender{name: "coracle", program: b.coracle}
	c.command = func(ctx context.Context, _ int) *exec.Cmd {
		return coracle(ctx, b, store, "run", "--pull", "never", ref, "true")
	}
	c.before = once(func() error { return quietly(coracle(ctx, b, store, "pull", ref)) })
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
