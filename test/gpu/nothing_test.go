package gpu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/gpu"
)

// claims is the environment by which NVIDIA's own images ask for GPUs; other runtimes grant it.
var claims = []string{"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all", "NVIDIA_REQUIRE_CUDA=cuda>=1.0", "CUDA_VISIBLE_DEVICES=0"}

// TestImagesGrantNothing: without being asked for, no GPU is given, whatever the image says of itself.
func TestImagesGrantNothing(t *testing.T) {
	b := newBox(t, gpu.Setup{Place: gpu.Usual, GPUs: 2})
	for name, build := range kinds {
		t.Run(name, func(t *testing.T) {
			inner := b.of(t)
			im, err := build(driver(t))
			im.Config.Env = append(im.Config.Env, claims...)
			ref := inner.pull(im, err)
			// The loader's words differ: glibc's and musl's.
			if r := inner.do("run", "-q", ref, "copy", "1"); r.code != 1 || !strings.Contains(r.stdout, "libcuda.so.1: ") {
				t.Errorf("a program that has no driver: status %d: %s%s", r.code, r.stdout, r.stderr)
			}
			if name == "distroless" {
				return
			}
			found := inner.lines(ref, "sh", "-c", "ls /dev; find / -xdev -name '*nvidia*' -o -xdev -name 'libcuda*'; grep -i nvidia /proc/self/mountinfo; true")
			if i := slices.IndexFunc(found, func(line string) bool { return strings.Contains(line, "nvidia") || strings.Contains(line, "cuda") }); i >= 0 {
				t.Errorf("the job sees %s", found[i])
			}
		})
	}
}
