package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

const layerByLayer = "tar xzf, layer by layer"

// preparePull makes a registry on this machine for one image. Every run starts with an empty store, and with all earlier
// writes on disk.
func preparePull(ctx context.Context, b *workshop, o options) (field, error) {
	image, err := pullImage(ctx, b, o.image)
	if err != nil {
		return field{}, err
	}
	ref, stop := image.serve()
	b.stop = append(b.stop, stop)
	store := filepath.Join(b.dir, "store")
	fresh := func() error {
		if err := fsx.RemoveAll(store); err != nil {
			return err
		}
		unix.Sync()
		return os.Mkdir(store, 0o700)
	}
	f := field{
		subject: fmt.Sprintf("%d layers, %d MB compressed, from a registry on this machine into an empty store",
			len(image.manifest.Layers), image.size()/1_000_000),
		reference: layerByLayer, rounds: 5, warmup: 1, watch: 20 * time.Millisecond,
	}
	add := func(name, program string, command func(ctx context.Context, number int) *exec.Cmd) {
		f.contenders = append(f.contenders, contender{name: name, program: program, before: fresh, command: command})
	}
	add("skopeo copy, download only", "skopeo", func(ctx context.Context, _ int) *exec.Cmd {
		return skopeo(ctx, ref, "dir:"+filepath.Join(store, "dir"))
	})
	add(layerByLayer, "tar", func(ctx context.Context, _ int) *exec.Cmd { return tarCommand(ctx, image, store) })
	add("skopeo copy and umoci unpack", "umoci", func(ctx context.Context, _ int) *exec.Cmd {
		copied := filepath.Join(store, "oci")
		first := skopeo(ctx, ref, "oci:"+copied+":1")
		second := exec.CommandContext(ctx, "umoci", "unpack", "--rootless", "--image", copied+":1", filepath.Join(store, "bundle"))
		return inTurn(ctx, first, second)
	})
	add("podman pull", "podman", func(ctx context.Context, _ int) *exec.Cmd {
		return podman(ctx, b, store, "pull", "--quiet", "--tls-verify=false", ref)
	})
	add("coracle pull", b.coracle, func(ctx context.Context, _ int) *exec.Cmd { return coracle(ctx, b, store, "pull", ref) })
	b.stop = append(b.stop, stopPodman)
	return f, nil
}

func skopeo(ctx context.Context, ref, to string) *exec.Cmd {
	return exec.CommandContext(ctx, "skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "docker://"+ref, to)
}

// inTurn is two commands, one after the other. No word of them holds a single quote.
func inTurn(ctx context.Context, first, second *exec.Cmd) *exec.Cmd {
	line := fmt.Sprintf("'%s' && exec '%s'", strings.Join(first.Args, "' '"), strings.Join(second.Args, "' '"))
	return exec.CommandContext(ctx, "/bin/sh", "-c", line)
}
