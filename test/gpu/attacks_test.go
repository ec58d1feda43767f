package gpu_test

import (
	"path/filepath"
	"strings"

	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/gpu"
)

// attack is an image that wants something of whoever prepares it for GPUs.
type attack struct {
	name, what, source string

	env     []string
	entries func(target) []fixture.Entry
	works   bool // the job runs all the same; otherwise it may be refused
}

// target is what an attack knows of its victim.
type target struct {
	outside   string // a directory of the user's on the host, by its absolute path
	libraries string // where the driver's libraries go in the image: /usr/lib/x86_64-linux-gnu
	evil      string // content of a library that leaves a file outside when it is loaded
}

// in is a path in the image, without the slash before it.
func (v target) in(name string) string {
	return strings.TrimPrefix(filepath.Join(v.libraries, name), "/")
}

// up leads out of any directory of the image, if it leads anywhere.
func (v target) up() string { return strings.Repeat("../", 20) + strings.TrimPrefix(v.outside, "/") }

func evilAt(names ...string) func(target) []fixture.Entry {
	return func(v target) (all []fixture.Entry) {
		for _, name := range names {
			all = append(all, fixture.File(strings.ReplaceAll(name, "LIB", strings.TrimPrefix(v.libraries, "/")), v.evil, 0o755))
		}
		return all
	}
}

// link replaces a path of the image by a link to a path outside; LIB is the directory of the libraries.
func link(name, to string) func(target) []fixture.Entry {
	return func(v target) []fixture.Entry {
		return []fixture.Entry{fixture.Symlink(strings.ReplaceAll(name, "LIB", strings.TrimPrefix(v.libraries, "/")), filepath.Join(v.outside, to))}
	}
}

func both(all ...func(target) []fixture.Entry) func(target) []fixture.Entry {
	return func(v target) (entries []fixture.Entry) {
		for _, f := range all {
			entries = append(entries, f(v)...)
		}
		return entries
	}
}

func entries(all ...fixture.Entry) func(target) []fixture.Entry {
	return func(target) []fixture.Entry { return all }
}

// versioned is how names of files of the driver's version end.
const versioned = ".so." + gpu.Version

var attacks = []attack{
	// A hook must not load what the image brings: its environment is not the hook's, nor is its root the hook's directory.
	{name: "preload", what: "ENV LD_PRELOAD names a library of the image by its path in the hook's directory", source: "CVE-2025-23266",
		env: []string{"LD_PRELOAD=/proc/self/cwd/evil.so"}, entries: evilAt("evil.so"), works: true},
	{name: "preload-here", what: "ENV LD_PRELOAD=./evil.so", source: "CVE-2025-23266",
		env: []string{"LD_PRELOAD=./evil.so"}, entries: evilAt("evil.so"), works: true},
	{name: "audit", what: "ENV LD_AUDIT and LD_LIBRARY_PATH, with a libc of the image's", source: "CVE-2025-23266",
		env: []string{"LD_AUDIT=/proc/self/cwd/evil.so", "LD_LIBRARY_PATH=/proc/self/cwd/evil:/evil"}, entries: both(evilAt("evil.so", "evil/libdl.so.2"), entries(fixture.Dir("evil", 0o755)))},
	{name: "path", what: "ENV PATH leads to programs of the image called ldconfig, nvidia-smi and coracle-nvidia", source: "CVE-2025-23266 class",
		env: []string{"PATH=/evil:/proc/self/cwd/evil:/usr/bin:/bin"}, entries: evilAt("evil/ldconfig", "evil/nvidia-smi", "evil/coracle-nvidia", "evil/sh")},
	{name: "ldconfig", what: "the image's own /sbin/ldconfig is a program that must not run on the host", source: "CVE-2024-0134 class",
		entries: evilAt("usr/sbin/ldconfig", "usr/sbin/ldconfig.real"), works: true},
	{name: "libraries", what: "the image brings libnvidia-ml.so.1 and libcuda.so.1 of its own, which the helper must not load", source: "CVE-2025-23266 class",
		entries: evilAt("LIB/libnvidia-ml.so.1", "LIB/libnvidia-ml"+versioned, "LIB/libcuda"+versioned), works: true},

	// What is mounted into the image lands there, whatever stands in its way.
	{name: "library-link", what: "the target of a library's mount is a link to a file of the host's", source: "CVE-2024-0132", entries: link("LIB/libcuda"+versioned, "victim")},
	{name: "library-link-new", what: "the target is a link to a name that is not there, to be created", source: "CVE-2024-0134", entries: link("LIB/libcuda"+versioned, "made")},
	{name: "library-link-up", what: "the same by ../../..", source: "CVE-2024-0132", entries: func(v target) []fixture.Entry {
		return []fixture.Entry{fixture.Symlink(v.in("libcuda"+versioned), v.up()+"/victim"), fixture.Symlink(v.in("libnvidia-ml"+versioned), v.up()+"/made")}
	}},
	{name: "bin-link", what: "/usr/bin/nvidia-smi is a link out", source: "CVE-2024-0132", entries: link("usr/bin/nvidia-smi", "victim")},
	{name: "bin-link-new", what: "/usr/bin/nvidia-smi is a link to a name to be created", source: "CVE-2024-0134", entries: link("usr/bin/nvidia-smi", "made")},
	{name: "proc-link", what: "the target is a link by /proc/self/root and /proc/1/cwd", source: "CVE-2025-23359", entries: func(v target) []fixture.Entry {
		return []fixture.Entry{
			fixture.Symlink(v.in("libcuda"+versioned), "/proc/self/root"+v.outside+"/victim"),
			fixture.Symlink(v.in("libnvidia-ml"+versioned), "/proc/self/cwd/"+v.up()+"/made"),
		}
	}},
	{name: "library-dir", what: "the target of a library's mount is a directory", source: "own", entries: func(v target) []fixture.Entry {
		return []fixture.Entry{fixture.Dir(v.in("libcuda"+versioned), 0o755)}
	}},
	{name: "library-fifo", what: "the target is a FIFO, which blocks who opens it", source: "own", entries: func(v target) []fixture.Entry {
		return []fixture.Entry{fixture.Fifo(v.in("libcuda"+versioned), 0o666), fixture.Fifo("usr/bin/nvidia-smi", 0o777)}
	}},
	{name: "dev", what: "/dev is a link out, and so are nodes in it", source: "CVE-2025-31133 (runc) class", entries: both(
		link("dev", ""))},
	{name: "dev-nodes", what: "/dev/nvidia0 is a link out, /dev/nvidiactl a file", source: "CVE-2025-31133 (runc) class", entries: both(
		entries(fixture.Dir("dev", 0o755), fixture.File("dev/nvidiactl", "", 0o666)), link("dev/nvidia0", "victim")), works: true},

	// The hooks write below the image's root alone.
	{name: "cache-link", what: "/etc/ld.so.cache is a link to a file of the host's", source: "CVE-2025-23267", entries: link("etc/ld.so.cache", "victim"), works: true},
	{name: "cache-link-new", what: "/etc/ld.so.cache and its temporary name are links to names to be created", source: "CVE-2025-23267", entries: both(
		link("etc/ld.so.cache", "made"), link("etc/ld.so.cache~", "made"), link("etc/ld.so.cache.tmp", "made"))},
	{name: "conf-link", what: "/etc/ld.so.conf.d is a link to a directory of the host's", source: "CVE-2025-23267", entries: link("etc/ld.so.conf.d", "dir")},
	{name: "conf-file-link", what: "/etc/ld.so.conf is a link to a file of the host's", source: "CVE-2025-23267", entries: link("etc/ld.so.conf", "victim")},
	{name: "conf-include", what: "/etc/ld.so.conf includes files of the host's, and names its directories", source: "CVE-2024-0134 class", entries: func(v target) []fixture.Entry {
		return []fixture.Entry{fixture.File("etc/ld.so.conf", "include "+v.outside+"/*\ninclude "+v.up()+"/*\n"+v.outside+"\n"+v.up()+"\n/proc/self/cwd\n", 0o644)}
	}, works: true},
	{name: "conf-fifo", what: "/etc/ld.so.conf is a FIFO, which blocks who opens it", source: "own", entries: entries(fixture.Fifo("etc/ld.so.conf", 0o666))},
	{name: "etc-link", what: "/etc is a link out", source: "CVE-2025-23267", entries: link("etc", "dir")},
	{name: "musl-link", what: "the path file of musl's loader is a link out", source: "CVE-2025-23267 class", entries: both(
		entries(fixture.File("etc/alpine-release", "3\n", 0o644)), link("etc/ld-musl-x86_64.path", "victim"), link("etc/ld-musl-aarch64.path", "made"))},
	{name: "soname-link", what: "libcuda.so.1 and libcuda.so are links out", source: "CVE-2024-0133, CVE-2025-23267", entries: both(link("LIB/libcuda.so.1", "victim"), link("LIB/libcuda.so", "made"))},
	{name: "library-folder", what: "the directory of the libraries is a link out", source: "CVE-2024-0133", entries: func(v target) []fixture.Entry {
		return []fixture.Entry{fixture.Symlink(strings.TrimPrefix(v.libraries, "/"), filepath.Join(v.outside, "dir"))}
	}},

	// Compatibility libraries are the image's own, and found by their names.
	{name: "compat-link", what: "a compatibility library is a link to a file of the host's", source: "CVE-2024-0135", entries: both(
		entries(fixture.Dir("usr/local/cuda", 0o755), fixture.Dir("usr/local/cuda/compat", 0o755)), link("usr/local/cuda/compat/libcuda.so.1000.10", "victim")), works: true},
	{name: "compat-folder", what: "/usr/local/cuda/compat is a link to a directory of the host's", source: "CVE-2024-0136", entries: both(
		entries(fixture.Dir("usr/local/cuda", 0o755)), link("usr/local/cuda/compat", "dir")), works: true},
	{name: "compat-cuda", what: "/usr/local/cuda is a link out", source: "CVE-2024-0137", entries: both(entries(fixture.Dir("usr/local", 0o755)), link("usr/local/cuda", "")), works: true},
	{name: "compat-evil", what: "compatibility libraries that must not be loaded to be looked at", source: "CVE-2024-0136", entries: both(
		entries(fixture.Dir("usr/local/cuda", 0o755), fixture.Dir("usr/local/cuda/compat", 0o755)), evilAt("usr/local/cuda/compat/libcuda.so.1000.10", "usr/local/cuda/compat/libcuda.so.1"))},
	{name: "compat-names", what: "names with a line end, with .., of 255 bytes, with no number", source: "CVE-2024-0135 class", entries: entries(
		fixture.Dir("usr/local/cuda", 0o755), fixture.Dir("usr/local/cuda/compat", 0o755),
		fixture.File("usr/local/cuda/compat/libcuda.so.1000.1\n/etc", "", 0o755), fixture.File("usr/local/cuda/compat/libcuda.so...", "", 0o755),
		fixture.File("usr/local/cuda/compat/libcuda.so.1000."+strings.Repeat("9", 230), "", 0o755), fixture.File("usr/local/cuda/compat/libcuda.so.-1.x", "", 0o755)), works: true},
	{name: "compat-fifo", what: "a compatibility library is a FIFO, which blocks who opens it", source: "own", entries: entries(
		fixture.Dir("usr/local/cuda", 0o755), fixture.Dir("usr/local/cuda/compat", 0o755), fixture.Fifo("usr/local/cuda/compat/libcuda.so.1000.10", 0o666))},
	{name: "claims", what: "ENV asks for all devices, all capabilities, mounts and modes", source: "CVE-2024-0132 class (NVIDIA_VISIBLE_DEVICES of images)",
		env: append([]string{"NVIDIA_VISIBLE_DEVICES=/var/run/nvidia-container-devices", "NVIDIA_DISABLE_REQUIRE=1", "NVIDIA_CTK_LIBCUDA_DIR=/evil"}, claims[1:]...), works: true},
}
