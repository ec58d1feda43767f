package gpu

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
)

// Version is the fake driver's: none of NVIDIA's will be called that.
const Version = "999.88.77"

// ErrNoCompiler is returned where there is no C compiler.
var ErrNoCompiler = errors.New("no C compiler")

//go:embed source
var sources embed.FS

// Driver is a directory with a driver's files:
//
//	lib/    libcuda.so.999.88.77, its links, and the others
//	bin/    nvidia-smi, a script, and the others
//	share/  what graphics would read
//	usr-local/nvidia/{lib64,bin,share}  the same files, wholly under one folder
//	copy, copy-musl, list               the programs of copy.c and list.c for glibc and, where there is a compiler, for musl
type Driver struct{ Dir string }

// library is one of the driver's: its file is NAME.so.999.88.77.
type library struct {
	name   string
	soname string   // what programs ask for; "": the file's own name
	dev    bool     // there is a link without any version, too
	source []string // "": the stub
	flags  []string
}

// freestanding needs nothing of a C library.
var freestanding = strings.Fields("-nostdlib -ffreestanding -fno-builtin -fno-stack-protector -fno-tree-loop-distribute-patterns")

// The names are those that a driver for computing installs (NVIDIA's driver README, "Installed components").
var libraries = []library{
	{name: "libcuda", soname: "libcuda.so.1", dev: true, source: []string{"cuda.c"}, flags: freestanding},
	{name: "libnvidia-ml", soname: "libnvidia-ml.so.1", dev: true, source: []string{"nvml.c", "nvml_sample.c", "nvml_mig.c"}, flags: []string{"-D_GNU_SOURCE"}},
	{name: "libnvidia-ptxjitcompiler", soname: "libnvidia-ptxjitcompiler.so.1", dev: true},
	{name: "libnvidia-nvvm", soname: "libnvidia-nvvm.so.4", dev: true},
	{name: "libnvidia-gpucomp"},
	{name: "libnvidia-cfg", soname: "libnvidia-cfg.so.1"},
	{name: "libnvidia-opencl", soname: "libnvidia-opencl.so.1"},
	{name: "libcudadebugger", soname: "libcudadebugger.so.1"},
	{name: "libnvidia-encode", soname: "libnvidia-encode.so.1", dev: true},
	{name: "libGLX_nvidia", soname: "libGLX_nvidia.so.0"},
	{name: "libnvidia-glcore"},
}

// others are the files that are no libraries; a word VERSION in them is replaced.
var others = map[string]struct {
	text string
	perm fs.FileMode
}{
	"bin/nvidia-persistenced":                             {"#!/bin/sh\nexit 0\n", 0o755},
	"bin/nvidia-debugdump":                                {"#!/bin/sh\nexit 0\n", 0o755},
	"bin/nvidia-cuda-mps-control":                         {"#!/bin/sh\nexit 0\n", 0o755},
	"share/nvidia/nvidia-application-profiles-VERSION-rc": {"{}\n", 0o644},
	"share/vulkan/icd.d/nvidia_icd.json":                  {`{"ICD": {"library_path": "libGLX_nvidia.so.0"}}` + "\n", 0o644},
	"share/glvnd/egl_vendor.d/10_nvidia.json":             {`{"ICD": {"library_path": "libEGL_nvidia.so.0"}}` + "\n", 0o644},
}

// Build compiles a driver into an empty directory. Its errors wrap ErrNoCompiler where that is why.
func Build(ctx context.Context, dir string) (Driver, error) {
	d := Driver{dir}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrNoCompiler, err)
	}
	if err := d.unpack(); err != nil {
		return d, fmt.Errorf("building a fake driver: %w", err)
	}
	for _, l := range libraries {
		if err := d.library(ctx, gcc, l); err != nil {
			return d, fmt.Errorf("building a fake driver: %s: %w", l.name, err)
		}
	}
	if err := errors.Join(d.programs(ctx, gcc), d.files(), d.folder()); err != nil {
		return d, fmt.Errorf("building a fake driver: %w", err)
	}
	return d, nil
}

// Path is that of a file of the driver's.
func (d Driver) Path(elem ...string) string {
	return filepath.Join(append([]string{d.Dir}, elem...)...)
}

func (d Driver) unpack() error {
	for _, name := range []string{"lib", "bin", "share"} {
		if err := os.MkdirAll(d.Path(name), 0o755); err != nil {
			return err
		}
	}
	return os.CopyFS(d.Dir, sources)
}

// library compiles one and makes its links.
func (d Driver) library(ctx context.Context, gcc string, l library) error {
	file := l.name + ".so." + Version
	soname := l.soname
	if soname == "" {
		soname = file
	}
	source := l.source
	if source == nil {
		source = []string{"stub.c"}
	}
	args := []string{"-shared", "-O1", "-fPIC", "-fvisibility=hidden", "-Wl,-soname," + soname, "-o", d.Path("lib", file),
		`-DNAME="` + l.name + `"`, `-DVERSION="` + Version + `"`}
	if l.source == nil {
		args = append(args, "-nostdlib")
	}
	if err := compile(ctx, gcc, d.Path("source"), append(append(args, l.flags...), source...)); err != nil {
		return err
	}
	var errs []error
	if l.soname != "" {
		errs = append(errs, os.Symlink(file, d.Path("lib", l.soname)))
	}
	if l.dev {
		errs = append(errs, os.Symlink(soname, d.Path("lib", l.name+".so")))
	}
	return errors.Join(errs...)
}

func compile(ctx context.Context, compiler, dir string, args []string) error {
	cmd := exec.CommandContext(ctx, compiler, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(compiler), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// programs compiles what uses the libraries.
func (d Driver) programs(ctx context.Context, gcc string) error {
	for _, name := range []string{"copy", "list"} {
		if err := compile(ctx, gcc, d.Path("source"), []string{"-O1", "-o", d.Path(name), name + ".c"}); err != nil {
			return err
		}
	}
	if musl, err := exec.LookPath("musl-gcc"); err == nil {
		return compile(ctx, musl, d.Path("source"), []string{"-O1", "-o", d.Path("copy-musl"), "copy.c"})
	}
	return nil
}

func (d Driver) files() error {
	smi, err := sources.ReadFile("source/nvidia-smi.sh")
	if err != nil {
		return err
	}
	if err := d.write("bin/nvidia-smi", string(smi), 0o755); err != nil {
		return err
	}
	for name, file := range others {
		if err := d.write(name, file.text, file.perm); err != nil {
			return err
		}
	}
	return nil
}

func (d Driver) write(name, text string, perm fs.FileMode) error {
	path := d.Path(strings.ReplaceAll(name, "VERSION", Version))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	content := []byte(strings.ReplaceAll(text, "VERSION", Version))
	if perm&0o111 != 0 {
		return need.WriteProgram(path, content)
	}
	return fsx.WriteFile(path, content, perm)
}

// folder makes the driver's second home, of the same files.
func (d Driver) folder() error {
	for from, to := range map[string]string{"lib": "lib64", "bin": "bin", "share": "share"} {
		err := filepath.WalkDir(d.Path(from), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(d.Path(from), path)
			if err != nil {
				return err
			}
			target := d.Path("usr-local", "nvidia", to, rel)
			if entry.IsDir() {
				return os.MkdirAll(target, 0o755)
			}
			if entry.Type() == fs.ModeSymlink {
				text, err := os.Readlink(path)
				return errors.Join(err, os.Symlink(text, target))
			}
			return os.Link(path, target)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
