package gpu_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/gpu"
	"github.com/coracle-run/coracle/test/hostile"
)

// TestHostileImages: the published holes of NVIDIA's toolkit, and what is like them, as images. Whatever becomes of the run, nothing of
// the user's changes, nothing of it is seen inside, and nothing is left behind.
func TestHostileImages(t *testing.T) {
	need.GPUHelper(t)
	libraries, err := gpu.SystemLibraries()
	if err != nil {
		need.Missing(t, "glibc", err.Error())
	}
	base, err := gpu.Debian(driver(t))
	if err != nil {
		t.Fatal(err)
	}
	// In the home of who runs the tests, others are at work.
	for _, name := range []string{"HOME", "XDG_RUNTIME_DIR"} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, dir)
	}
	b := newBox(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
	b.env = append(b.env, "CORACLE_GPU_TIMEOUT=5s") // for what an image can make wait for ever
	v := target{outside: canaries(t), libraries: libraries}
	v.evil = evil(t, filepath.Join(v.outside, "owned"))
	before := b.state(v.outside)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			inner := b.of(t)
			im := base
			im.Config.Env = append(slices.Clone(base.Config.Env), a.env...)
			if a.entries != nil {
				im.Layers = append(slices.Clone(base.Layers), fixture.NewLayer(fixture.Gzip, a.entries(v)...))
			}
			ref := inner.pull(im, nil)
			flags := [][]string{nil, {"--read-only"}}
			if strings.HasPrefix(a.name, "compat") {
				flags = [][]string{nil, {"--cuda-compat", "force"}}
			}
			for _, flags := range flags {
				inner.attacked(a, v, append(append([]string{"run", "-q", "--gpus", "all"}, flags...), ref, "/bin/busybox", "sh", "-c", peek(v)))
				inner.unchanged(before, v.outside)
			}
		})
	}
}

// peek prints what a job sees of the host's files, and that it has run.
func peek(v target) string {
	return fmt.Sprintf("busybox find / -xdev -name secret 2>/dev/null; busybox cat %[1]s/dir/secret %[1]s/victim /usr/lib/*/libcuda%[2]s /etc/ld.so.conf 2>/dev/null | busybox grep -a untouched; busybox echo ran", v.outside, versioned)
}

// attacked runs a job and looks at how it ends.
func (b *box) attacked(a attack, v target, args []string) {
	b.t.Helper()
	r := b.do(args...)
	ran := strings.HasSuffix(r.stdout, "ran\n")
	switch {
	case strings.Contains(r.stdout, "untouched"), strings.Contains(r.stdout, "secret"):
		b.t.Errorf("the job sees files of the host's: %s", r.stdout)
	case a.works && !ran:
		b.t.Errorf("status %d, though nothing is wrong with it: %s%s", r.code, r.stdout, r.stderr)
	case !ran && (r.code != 125 || strings.Contains(r.stderr, "goroutine ")):
		b.t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
	case !ran:
		b.t.Logf("refused: %s", strings.ReplaceAll(r.stderr, v.outside, "OUTSIDE"))
	}
}

// canaries is a directory of the user's with what may be hurt.
func canaries(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"victim", "dir/secret", "dir/ld.so.cache", "dir/passwd"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("untouched"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("victim", filepath.Join(dir, "link")), unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// evil compiles the library that tells on who loads it.
func evil(t *testing.T, canary string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "evil.so")
	out, err := exec.Command(need.Tool(t, "gcc"), "-shared", "-fPIC", `-DCANARY="`+canary+`"`, "-o", file, driver(t).Path("source", "evil.c")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestEvilTells: the canary of the attacks above is one.
func TestEvilTells(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "owned")
	file := filepath.Join(t.TempDir(), "evil.so")
	need.Program(t, file, evil(t, canary))
	cmd := exec.Command("/bin/true")
	cmd.Env = []string{"LD_PRELOAD=" + file}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(canary); err != nil {
		t.Error("the library was loaded and nobody knows: ", err)
	}
}

// state describes what must not change: the canaries, and what runs leave in the store and among temporary files.
func (b *box) state(outside string) map[string]string {
	b.t.Helper()
	nodes, err := hostile.Walk(outside, true)
	if err != nil {
		b.t.Fatal(err)
	}
	seen := map[string]string{}
	for _, n := range nodes {
		n.Room = 0 // changes by itself while the kernel writes a file back
		seen[n.Path] = fmt.Sprintf("%+v", n)
	}
	for _, dir := range []string{filepath.Join(b.root, "upper"), filepath.Join(b.root, "tmp"), os.Getenv("XDG_RUNTIME_DIR"), os.Getenv("HOME")} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && path != dir {
				seen["left: "+path] = "there"
			}
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	return seen
}

func (b *box) unchanged(before map[string]string, outside string) {
	b.t.Helper()
	after := b.state(outside)
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if after[path] != before[path] && !strings.HasPrefix(path, "left: ") {
			b.t.Errorf("a canary has changed: %s\nbefore %s\nafter  %s", path, before[path], after[path])
		}
	}
	for path := range after {
		if before[path] == "" && !strings.HasSuffix(path, "/coracle") {
			b.t.Errorf("something has appeared: %s", path)
		}
	}
}

// TestSwappedWhileMounting: a volume that somebody else writes to, another container's say, is changed while a job's driver is mounted
// into it: between a look at a path and its use (CVE-2024-0132, CVE-2025-23359).
func TestSwappedWhileMounting(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Folder, GPUs: 1})
	outside := canaries(t)
	before := b.state(outside)
	volume := t.TempDir()
	for _, name := range []string{"nvidia/lib64", "aside"} {
		if err := os.MkdirAll(filepath.Join(volume, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(outside, "dir"), filepath.Join(volume, "aside", "lib64")); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				// The two change places in one step; there is nothing to do about one that fails.
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(volume, "nvidia", "lib64"), unix.AT_FDCWD, filepath.Join(volume, "aside", "lib64"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	ran := 0
	for range 12 {
		r := b.do("run", "-q", "--gpus", "all", "-v", volume+":/usr/local", ref, "true")
		if r.code == 0 {
			ran++
		} else if r.code != 125 || strings.Contains(r.stderr, "goroutine ") {
			t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
		}
	}
	close(stop)
	<-stopped
	t.Logf("%d of 12 jobs ran", ran)
	b.unchanged(before, outside)
}
