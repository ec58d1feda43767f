package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pullers are all who can bring an image from a registry to files, and the reference. From a far registry only those who
// fetch take part in that, and the reference fetches first.
func pullers(b *workshop, s subject, r *registry, shaped bool) (all []contender) {
	add := func(name, program string, command func(ctx context.Context) *exec.Cmd) {
		all = append(all, contender{name: name, program: program, before: b.fresh,
			command: func(ctx context.Context, _ int) *exec.Cmd { return command(ctx) }})
	}
	store := b.storeDir()
	if shaped {
		add(curlAndTar, "curl", func(ctx context.Context) *exec.Cmd { return curlCommand(ctx, s, r, store) })
	} else {
		add(layerByLayer, "tar", func(ctx context.Context) *exec.Cmd { return tarCommand(ctx, s.image.Blobs(), store) })
	}
	add("skopeo copy, download only", "skopeo", func(ctx context.Context) *exec.Cmd {
		return skopeo(ctx, b, r.ref, "dir:"+filepath.Join(store, "dir"))
	})
	add(podmanPull, "podman", func(ctx context.Context) *exec.Cmd {
		return podman(ctx, b, store, "pull", "--quiet", "--tls-verify=false", r.ref)
	})
	if !shaped {
		addUnpackers(b, r, add)
	}
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{coraclePull, nil},
		{"coracle --memory-budget 48MiB", []string{"--memory-budget", "48MiB"}},
		{"coracle --keep-blobs", []string{"--keep-blobs"}},
	} {
		add(c.name, b.coracle, func(ctx context.Context) *exec.Cmd {
			return coracle(ctx, b, store, append(append([]string{"pull"}, c.flags...), r.ref)...)
		})
	}
	return all
}

// addUnpackers adds the peers that are not fast enough to be waited for twice.
func addUnpackers(b *workshop, r *registry, add func(string, string, func(context.Context) *exec.Cmd)) {
	store := b.storeDir()
	add("skopeo copy and umoci unpack", "umoci", func(ctx context.Context) *exec.Cmd {
		copied := filepath.Join(store, "oci")
		second := exec.CommandContext(ctx, "umoci", "unpack", "--rootless", "--image", copied+":1", filepath.Join(store, "bundle"))
		return inTurn(ctx, skopeo(ctx, b, r.ref, "oci:"+copied+":1"), second)
	})
	add("buildah pull", "buildah", func(ctx context.Context) *exec.Cmd {
		return peer(ctx, b, "buildah", append(storage(store), "pull", "--quiet", "--tls-verify=false", r.ref)...)
	})
	add("ch-image pull, by https", chImage, func(ctx context.Context) *exec.Cmd {
		// Its first line takes the first python3 there is, which need not be Debian's.
		return peer(ctx, b, "/usr/bin/python3", chImage, "--storage", filepath.Join(store, "ch"), "--no-cache", "--tls-no-verify", "pull", r.tlsRef)
	})
	add("apptainer build --sandbox", "apptainer", func(ctx context.Context) *exec.Cmd {
		cmd := peer(ctx, b, "apptainer", "build", "--no-https", "--disable-cache", "--sandbox", filepath.Join(store, "sandbox"), "docker://"+r.ref)
		cmd.Env = append(cmd.Env, "APPTAINER_TMPDIR="+b.tempDir())
		return cmd
	})
}

// chImage is where Debian's package charliecloud puts it.
const chImage = "/usr/bin/ch-image"

// peer is a program whose temporary files lie where everybody's are.
func peer(ctx context.Context, b *workshop, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+b.tempDir())
	cmd.Dir = b.dir
	return cmd
}

func skopeo(ctx context.Context, b *workshop, ref, to string) *exec.Cmd {
	return peer(ctx, b, "skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "docker://"+ref, to)
}

// curlCommand fetches the layers one after another, then unpacks them one after another.
func curlCommand(ctx context.Context, s subject, r *registry, dir string) *exec.Cmd {
	script := "set -ef; n=0; for url; do curl --silent --show-error --fail --output blob$n \"$url\"; n=$((n+1)); done; set --"
	var urls []string
	for n, d := range s.image.Manifest.Layers {
		urls = append(urls, r.blobURL(d.Digest))
		script += fmt.Sprintf(" blob%d", n)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script + "; " + untar, "sh"}, urls...)...)
	cmd.Dir = dir
	return cmd
}

// inTurn is two commands, one after the other, in the first one's environment. No word of them holds a single quote.
func inTurn(ctx context.Context, first, second *exec.Cmd) *exec.Cmd {
	line := fmt.Sprintf("'%s' && exec '%s'", strings.Join(first.Args, "' '"), strings.Join(second.Args, "' '"))
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Env, cmd.Dir = first.Env, first.Dir
	return cmd
}
