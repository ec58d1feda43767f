package main

import (
	"archive/tar"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/layout"
)

var (
	//go:embed start.sh
	startScript []byte
	//go:embed as.sh
	asScript []byte
)

// A payload is what a node is booted for: a disk with
//
//	start, mode, command     start.sh, and what it is to do
//	bin                      coracle, as (see as.sh)
//	busybox                  an OCI image layout with busybox
//	suites/NAME              test.bin, args, env, package/
type payload struct {
	mode    string // suites, command, shell
	command string
	suites  []suite
}

// A suite is a test binary for the node, with what its tests want to find in their working directory.
type suite struct {
	name    string
	binary  string
	args    []string
	sources []string // files and directories of its package
	env     string   // one more variable, or ""
}

// write makes the payload below dir, and of that the disk image.
func (p payload) write(ctx context.Context, dir, image string) error {
	top, err := need.Top()
	if err != nil {
		return err
	}
	for _, sub := range []string{"bin", "suites"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	err = errors.Join(
		need.WriteProgram(filepath.Join(dir, "start"), startScript),
		need.WriteProgram(filepath.Join(dir, "bin", "as"), asScript),
		os.WriteFile(filepath.Join(dir, "mode"), []byte(p.mode+"\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "command"), []byte(p.command+"\n"), 0o644),
		busybox(filepath.Join(dir, "busybox")),
		link(filepath.Join(top, "bin", "coracle"), filepath.Join(dir, "bin", "coracle")),
	)
	if err != nil {
		return err
	}
	for _, s := range p.suites {
		if err := s.write(filepath.Join(dir, "suites", s.name)); err != nil {
			return err
		}
	}
	return disk(ctx, dir, image)
}

func (s suite) write(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "package"), 0o755); err != nil {
		return err
	}
	err := errors.Join(
		link(s.binary, filepath.Join(dir, "test.bin")),
		os.WriteFile(filepath.Join(dir, "args"), []byte(strings.Join(s.args, "\n")+"\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "env"), []byte(s.env+"\n"), 0o644),
	)
	for _, source := range s.sources {
		target := filepath.Join(dir, "package", filepath.Base(source))
		info, statErr := os.Stat(source)
		if statErr == nil && info.IsDir() {
			statErr = os.CopyFS(target, os.DirFS(source))
		} else if statErr == nil {
			statErr = link(source, target)
		}
		err = errors.Join(err, statErr)
	}
	return err
}

// disk makes a file system of what is below dir, with a little room.
func disk(ctx context.Context, dir, image string) error {
	var bytes int64
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			bytes += info.Size() + 4096
		}
		return err
	})
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, sbin("mke2fs"), "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-L", "payload", "-d", dir, image,
		fmt.Sprintf("%dM", bytes*5/4>>20+16)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("making a disk of %s: %w: %s", dir, err, out)
	}
	return nil
}

// sbin is a system tool's path, also where an ordinary user's PATH lacks its directory.
func sbin(name string) string {
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return name
}

// link copies a file with its mode, without copying it where that can be.
func link(from, to string) error {
	from, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	if err := os.Link(from, to); err == nil {
		return nil
	}
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, raw, info.Mode().Perm())
}

// applets are the commands of the busybox image.
var applets = strings.Fields(`awk cat chmod date dd df echo env false grep head hostname id kill ls mkdir mount nproc ps
	readlink rm seq setsid sh sleep stat sync tail taskset tee test touch tr true uname wc which yes`)

// busybox writes an image of Debian's static busybox.
func busybox(dir string) error {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("%w: Debian's package busybox-static has it", err)
	}
	image, err := layout.Create(dir)
	if err != nil {
		return err
	}
	_, err = image.Layer("busybox", ocispec.MediaTypeImageLayerGzip, func(w io.Writer) error {
		archive := tar.NewWriter(w)
		err := errors.Join(
			entry(archive, tar.Header{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755}, nil),
			entry(archive, tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil),
			entry(archive, tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, program),
		)
		for _, name := range applets {
			err = errors.Join(err, entry(archive, tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"}, nil))
		}
		return errors.Join(err, archive.Close())
	})
	if err != nil {
		return err
	}
	return image.Finish(ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}})
}

func entry(archive *tar.Writer, header tar.Header, body []byte) error {
	header.Size = int64(len(body))
	if err := archive.WriteHeader(&header); err != nil {
		return err
	}
	_, err := io.Copy(archive, bytes.NewReader(body))
	return err
}
