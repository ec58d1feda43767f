package gpu_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/gpu"
)

// newer is a CUDA library of a later driver, as images with a newer CUDA bring it for older drivers.
func newer(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "libcuda.so.1000.10.01")
	args := append(strings.Fields("-shared -O1 -fPIC -fvisibility=hidden -nostdlib -ffreestanding -fno-builtin -fno-stack-protector "+
		"-fno-tree-loop-distribute-patterns -Wl,-soname,libcuda.so.1 -DCUDA=14020 -o"), file, driver(t).Path("source", "cuda.c"))
	if out, err := exec.Command(need.Tool(t, "gcc"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestForwardCompatibility: the image's newer CUDA library is the one that is loaded, where it is asked for.
func TestForwardCompatibility(t *testing.T) {
	need.GPUHelper(t)
	b := newBox(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
	im, err := gpu.Debian(driver(t))
	im.Layers = append(im.Layers, fixture.NewLayer(fixture.Gzip,
		fixture.Dir("usr/local/cuda", 0o755), fixture.Dir("usr/local/cuda/compat", 0o755),
		fixture.File("usr/local/cuda/compat/libcuda.so.1000.10.01", newer(t), 0o755),
		fixture.Symlink("usr/local/cuda/compat/libcuda.so.1", "libcuda.so.1000.10.01")))
	ref := b.pull(im, err)
	for compat, want := range map[string]string{"off": "driver 13.0", "auto": "driver 14.2", "force": "driver 14.2"} {
		t.Run(compat, func(t *testing.T) {
			wantLines(t, b.of(t).lines("--gpus", "all", "--cuda-compat", compat, ref, "copy", "1"), want, "devices 1", "ok")
		})
	}
}

// TestRequiredCUDA: what an image says that it needs is a warning, with both versions, and not a refusal.
func TestRequiredCUDA(t *testing.T) {
	need.GPUHelper(t)
	b := newBox(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
	im, err := gpu.Debian(driver(t))
	im.Config.Env = append(im.Config.Env, "NVIDIA_REQUIRE_CUDA=cuda>=99.5")
	ref := b.pull(im, err)
	r := b.do("run", "-q", "--gpus", "all", ref, "copy", "1")
	if r.code != 0 || !strings.Contains(r.stderr, "99.5") || !strings.Contains(r.stderr, "13.0") {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
}
