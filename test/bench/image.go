package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/mlimage"
)

// busyboxPath is where Debian's package busybox-static puts its program.
const busyboxPath = "/bin/busybox"

// busybox is the image whose start is measured: one static program that is `true`.
func busybox(dir string) (layout, error) {
	program, err := os.ReadFile(busyboxPath)
	if err != nil {
		return layout{}, fmt.Errorf("%w; Debian's package busybox-static has it", err)
	}
	config := ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}
	return writeLayout(dir, config, func() fixture.Layer {
		entries := []fixture.Entry{
			fixture.Dir("bin", 0o755), fixture.File("bin/busybox", string(program), 0o755),
			fixture.Symlink("bin/sh", "busybox"), fixture.Symlink("bin/true", "busybox"), fixture.Symlink("bin/sleep", "busybox"),
			fixture.Dir("etc", 0o755), fixture.File("etc/passwd", "root:x:0:0:root:/:/bin/sh\n", 0o644),
		}
		for _, name := range []string{"group", "hosts", "resolv.conf"} { // ch-run mounts the host's over them
			entries = append(entries, fixture.File("etc/"+name, "", 0o644))
		}
		// Mount points: some peers make those that are missing in the image, which would cost them a mkdir in each run.
		for _, name := range []string{"dev", "proc", "sys", "tmp", "var", "home", "root"} {
			entries = append(entries, fixture.Dir(name, 0o755))
		}
		return fixture.NewLayer(fixture.Gzip, entries...)
	})
}

// unpack extracts the layers with tar into a fresh directory each, dir/0 and on.
func unpack(ctx context.Context, l layout, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if out, err := tarCommand(ctx, l, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking %s: %w: %s", l.dir, err, tail(string(out)))
	}
	return nil
}

// tarCommand is `tar xzf` of one layer after another. Devices are left out: an ordinary user cannot make them.
func tarCommand(ctx context.Context, l layout, dir string) *exec.Cmd {
	script := `set -e; n=0; for layer; do mkdir "$n"; tar xzf "$layer" -C "$n" --exclude=./dev/* --exclude=dev/*; n=$((n+1)); done`
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script, "sh"}, l.layers()...)...)
	cmd.Dir = dir
	return cmd
}

// pullImage is the image whose pull is measured: the one asked for, else the cached machine-learning image, else a made-up one.
func pullImage(ctx context.Context, b *workshop, wanted string) (layout, error) {
	if wanted == "" {
		dir, err := mlimage.Find()
		if errors.Is(err, mlimage.ErrMissing) {
			_, _ = fmt.Fprintln(b.log, "pull: making an image up:", err)
			return synthetic(filepath.Join(b.dir, "synthetic"), 400<<20)
		}
		if err != nil {
			return layout{}, err
		}
		wanted = dir
	}
	l, err := openLayout(wanted)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return l, err
	}
	dir := filepath.Join(b.dir, "fetched")
	cmd := exec.CommandContext(ctx, "skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "docker://"+wanted, "oci:"+dir+":1")
	if out, skopeoErr := cmd.CombinedOutput(); skopeoErr != nil {
		return l, fmt.Errorf("neither a layout (%w) nor an image that skopeo fetches: %w: %s", err, skopeoErr, tail(string(out)))
	}
	return openLayout(dir)
}

// synthetic is an image of about the given number of bytes unpacked, always the same: a few large files as libraries and
// weights are, and many small ones as scripts are, in four layers of different size.
func synthetic(dir string, size int) (layout, error) {
	var layers []func() fixture.Layer
	for i, part := range []struct{ share, file int }{{10, 8 << 10}, {20, 12 << 10}, {20, 256 << 10}, {50, 16 << 20}} {
		layers = append(layers, func() fixture.Layer {
			return filler(uint64(i), size/100*part.share, part.file)
		})
	}
	return writeLayout(dir, ocispec.ImageConfig{Cmd: []string{"none"}}, layers...)
}

// filler is a layer of files of at most twice a mean size, a hundred to a directory, together of about the given size.
func filler(seed uint64, size, mean int) fixture.Layer {
	random := rand.New(rand.NewPCG(seed, 0))
	pool := text(random, 4*mean)
	var entries []fixture.Entry
	for n := 0; size > 0; n++ {
		dir := fmt.Sprintf("layer%d/%04d", seed, n/100)
		if n%100 == 0 {
			entries = append(entries, fixture.Dir(dir, 0o755))
		}
		length := 1 + random.IntN(2*mean)
		e := fixture.File(fmt.Sprintf("%s/file%06d", dir, n), "", 0o644)
		start := random.IntN(len(pool) - length)
		e.Body, e.Size, e.Typeflag = pool[start:start+length], int64(length), tar.TypeReg
		entries = append(entries, e)
		size -= length
	}
	return fixture.NewLayer(fixture.Gzip, entries...)
}

// text is bytes that gzip halves, about: words in no order, among bytes that do not repeat.
func text(random *rand.Rand, length int) []byte {
	var b bytes.Buffer
	for b.Len() < length {
		if random.IntN(3) == 0 {
			for range 16 {
				b.WriteByte(byte(random.Uint32()))
			}
		}
		fmt.Fprintf(&b, "self.layer_%d(x) ", random.IntN(500))
	}
	return b.Bytes()
}
