package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/imageset"
	"github.com/coracle-run/coracle/test/layout"
)

// busyboxPath is where Debian's package busybox-static puts its program.
const busyboxPath = "/bin/busybox"

// busybox is the image whose start is measured: one static program that is `true`, in so many layers, for a user.
func busybox(dir string, layers int, user string) (layout.Image, error) {
	program, err := os.ReadFile(busyboxPath)
	if err != nil {
		return layout.Image{}, fmt.Errorf("%w; Debian's package busybox-static has it", err)
	}
	image, err := layout.Create(dir)
	if err != nil {
		return layout.Image{}, err
	}
	_, err = image.Layer("busybox", ocispec.MediaTypeImageLayerGzip, func(w io.Writer) error {
		_, err := w.Write(fixture.Tar(busyboxEntries(string(program))...))
		return err
	})
	for n := 1; n < layers && err == nil; n++ {
		_, err = image.Layer(fmt.Sprintf("%d", n), ocispec.MediaTypeImageLayerGzip, func(w io.Writer) error {
			_, err := w.Write(fixture.Tar(fixture.File(fmt.Sprintf("var/%d", n), "x", 0o644)))
			return err
		})
	}
	err = errors.Join(err, image.Finish(ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}, User: user}))
	if err != nil {
		return layout.Image{}, err
	}
	return layout.Open(dir)
}

func busyboxEntries(program string) []fixture.Entry {
	entries := []fixture.Entry{
		fixture.Dir("bin", 0o755), fixture.File("bin/busybox", program, 0o755),
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
	return entries
}

// unpack extracts the layers with tar into a fresh directory each, dir/0 and on.
func unpack(ctx context.Context, im layout.Image, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if out, err := tarCommand(ctx, im.Blobs(), dir).CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking %s: %w: %s", im.Dir, err, tail(string(out)))
	}
	return nil
}

// untar is `tar xzf` (--zstd, by what the file is) of one layer after another. Devices are left out: an ordinary user
// cannot make them.
const untar = `n=0; for layer; do mkdir "$n"; tar xf "$layer" -C "$n" --exclude=./dev/* --exclude=dev/*; n=$((n+1)); done`

func tarCommand(ctx context.Context, blobs []string, dir string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", "set -ef; " + untar, "sh"}, blobs...)...)
	cmd.Dir = dir
	return cmd
}

// A subject is an image that is pulled, and how much that is.
type subject struct {
	name     string // of the set, or "image"
	image    layout.Image
	contents imageset.Contents
}

func (s subject) String() string {
	return fmt.Sprintf("%d layers, %d MB compressed, %d MB and %d entries unpacked",
		len(s.image.Manifest.Layers), s.image.Size()/1_000_000, s.contents.Bytes/1_000_000, s.contents.Entries)
}

// subjects are the images asked for, and those that are not there with the reason.
func subjects(ctx context.Context, b *workshop, o options) (there []subject, missing []skip, err error) {
	if o.image != "" {
		s, err := given(ctx, b, o.image)
		return []subject{s}, nil, err
	}
	sets, err := o.sets()
	if err != nil {
		return nil, nil, err
	}
	for _, set := range sets {
		dir, err := set.Ensure(ctx, b.log)
		if errors.Is(err, imageset.ErrMissing) {
			missing = append(missing, skip{set.Name, err.Error()})
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		s, err := newSubject(set.Name, dir)
		if err != nil {
			return nil, nil, err
		}
		there = append(there, s)
	}
	return there, missing, nil
}

func newSubject(name, dir string) (subject, error) {
	im, err := layout.Open(dir)
	if err != nil {
		return subject{}, err
	}
	contents, err := imageset.Count(im.Dir)
	return subject{name, im, contents}, err
}

// given is the image of a layout, or else of a reference.
func given(ctx context.Context, b *workshop, wanted string) (subject, error) {
	if _, err := layout.Open(wanted); err == nil || !errors.Is(err, os.ErrNotExist) {
		return newSubject("image", wanted)
	}
	dir := filepath.Join(b.dir, "fetched")
	cmd := exec.CommandContext(ctx, "skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "docker://"+wanted, "oci:"+dir+":1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return subject{}, fmt.Errorf("%s is no layout, and no image that skopeo fetches: %w: %s", wanted, err, tail(string(out)))
	}
	return newSubject("image", dir)
}
