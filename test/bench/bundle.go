package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/runtime/seccomp"
)

// writeBundle makes an OCI bundle for a rootless start of argv: what `runc spec --rootless` writes, with no capabilities and
// no terminal, as a job of Coracle has it, with or without the filter that Coracle gives its jobs (docker's default).
// Without either runtime there is nobody who wants one, and it makes none.
func writeBundle(ctx context.Context, dir, root string, filtered bool, argv ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tool := "runc"
	if !installed(tool) {
		tool = "crun" // has the same command
	}
	if !installed(tool) {
		return nil
	}
	cmd := exec.CommandContext(ctx, tool, "spec", "--rootless")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s spec: %w: %s", tool, err, tail(string(out)))
	}
	path := filepath.Join(dir, "config.json")
	var spec specs.Spec
	if err := decode(path, &spec); err != nil {
		return err
	}
	spec.Process.Terminal = false
	spec.Process.Args = argv
	spec.Process.Capabilities = &specs.LinuxCapabilities{}
	spec.Root.Path = root
	spec.Linux.Seccomp = nil
	if filtered {
		profile, ok := seccomp.Profile(runtime.GOARCH)
		if !ok {
			return fmt.Errorf("no seccomp profile for %s", runtime.GOARCH)
		}
		spec.Linux.Seccomp = profile
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}

func decode(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
