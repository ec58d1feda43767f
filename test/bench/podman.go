package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// podman prepares podman for a user without subordinate ids: files of other users than root become the user's own
// (ignore_chown_errors), as they do in Coracle.
func podman(ctx context.Context, b *workshop, store string, args ...string) *exec.Cmd {
	return peer(ctx, b, "podman", append(append(storage(store), "--cgroup-manager", "cgroupfs"), args...)...)
}

// storage is the flags of podman and buildah for a store.
func storage(store string) []string {
	return []string{"--root", store, "--runroot", runRoot(store), "--storage-driver", "overlay", "--storage-opt", "overlay.ignore_chown_errors=true"}
}

// runRoot is podman's directory for what does not outlive a boot, by the store's name: podman takes no path of more than 50
// characters.
func runRoot(store string) string {
	return filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), filepath.Base(store))
}

// startPodman runs an image of its store without making it a cgroup or a network, as Coracle.
func startPodman(ctx context.Context, b *workshop, ref string) contender {
	store := filepath.Join(b.dir, "podman")
	return contender{name: "podman", program: "podman",
		before: once(func() error {
			b.stop = append(b.stop, stopPodman)
			if err := os.MkdirAll(b.tempDir(), 0o700); err != nil {
				return err
			}
			return quietly(podman(ctx, b, store, "pull", "--tls-verify=false", ref))
		}),
		command: func(ctx context.Context, _ int) *exec.Cmd {
			return podman(ctx, b, store, "run", "--rm", "--pull", "never", "--cgroups", "disabled", "--network", "host", ref, "true")
		}}
}

// stopPodman ends the process with which rootless podman keeps its user namespace. What the file names is ended only if it
// is such a process.
func stopPodman() {
	raw, err := os.ReadFile(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "libpod", "tmp", "pause.pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return
	}
	if stays(pid) {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
}
