package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// execTables measures what it takes to run `true` in a container that runs: one of each contender's, which does nothing meanwhile.
func execTables(ctx context.Context, b *workshop, o options) (tables []table, err error) {
	image, err := busybox(filepath.Join(b.dir, "exec"), 4, "")
	if err != nil {
		return nil, err
	}
	r := serve(image, link{})
	b.stop = append(b.stop, r.stop)
	trees := filepath.Join(b.dir, "exec-trees")
	if err := unpack(ctx, image, trees); err != nil {
		return nil, err
	}
	f := field{
		columns: startColumns, reference: "runc exec", peer: "podman exec", rounds: 50, warmup: 3,
		subject:    "`true` in a container that runs, with the filter of its job",
		contenders: []contender{{name: "fork and exec", program: "/bin/true", command: always("/bin/true")}},
	}
	bundle := filepath.Join(b.dir, "exec-bundle")
	if err := writeBundle(ctx, bundle, filepath.Join(trees, "0"), true, "/bin/sleep", "100000"); err != nil {
		return nil, err
	}
	for _, tool := range []string{"crun", "runc"} {
		f.contenders = append(f.contenders, execRuntime(ctx, b, tool, bundle))
	}
	f.contenders = append(f.contenders, execPodman(ctx, b, r.ref), execCoracle(ctx, b, r.ref))
	t, err := f.run(ctx, "exec", o, b)
	return []table{t}, err
}

// inExec is the name of every contender's container.
const inExec = "bench-exec"

// execRuntime is `exec` of an OCI runtime.
func execRuntime(ctx context.Context, b *workshop, tool, bundle string) contender {
	call := func(ctx context.Context, args ...string) *exec.Cmd {
		argv := append([]string{"--root", filepath.Join(b.dir, tool+"-exec")}, args...)
		if tool == "crun" {
			argv = append([]string{"--cgroup-manager", "disabled"}, argv...) // it refuses hybrid cgroups otherwise
		}
		return exec.CommandContext(ctx, tool, argv...)
	}
	return contender{name: tool + " exec", program: tool,
		before: once(func() error {
			b.stop = append(b.stop, func() { _ = call(context.WithoutCancel(ctx), "delete", "--force", inExec).Run() }) // it may not be there
			return detached(b, call(ctx, "run", "--detach", "--bundle", bundle, inExec))
		}),
		command: func(ctx context.Context, _ int) *exec.Cmd { return call(ctx, "exec", inExec, "/bin/true") },
	}
}

func execPodman(ctx context.Context, b *workshop, ref string) contender {
	store := filepath.Join(b.dir, "podman")
	return contender{name: "podman exec", program: "podman",
		before: once(func() error {
			b.stop = append(b.stop, stopPodman, func() {
				_ = podman(context.WithoutCancel(ctx), b, store, "rm", "--force", "--time", "0", inExec).Run() // likewise
			})
			if err := os.MkdirAll(b.tempDir(), 0o700); err != nil {
				return err
			}
			err := quietly(podman(ctx, b, store, "pull", "--tls-verify=false", ref))
			return errors.Join(err, detached(b, podman(ctx, b, store, "run", "--detach", "--name", inExec, "--pull", "never", "--cgroups", "disabled", "--network", "host", ref, "sleep", "100000")))
		}),
		command: func(ctx context.Context, _ int) *exec.Cmd { return podman(ctx, b, store, "exec", inExec, "true") },
	}
}

func execCoracle(ctx context.Context, b *workshop, ref string) contender {
	store := filepath.Join(b.dir, "coracle")
	return contender{name: "coracle exec", program: b.coracle,
		before: once(func() error {
			b.stop = append(b.stop, func() {
				_ = coracle(context.WithoutCancel(ctx), b, store, "kill", inExec).Run() // likewise
			})
			err := quietly(coracle(ctx, b, store, "pull", ref))
			return errors.Join(err, detached(b, coracle(ctx, b, store, "run", "--detach", "--name", inExec, ref, "sleep", "100000")))
		}),
		command: func(ctx context.Context, _ int) *exec.Cmd { return coracle(ctx, b, store, "exec", inExec, "true") },
	}
}

// detached runs a command that leaves a container behind, which may hold its output open: that goes to a file. It is not for this process
// to wait for (adopt).
func detached(b *workshop, cmd *exec.Cmd) (err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, adopt()) }()
	name := filepath.Join(b.dir, filepath.Base(cmd.Path)+"-detached")
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(name)
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, tail(string(said)))
	}
	return nil
}
