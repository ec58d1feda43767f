package gpu_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/gpu"
)

// laneFolder is the lane's folder as `make gpu-lane` fills it, with this test binary.
func laneFolder(t *testing.T) string {
	t.Helper()
	driver(t) // needs a compiler
	folder := t.TempDir()
	if err := gpu.Lane(context.Background(), folder, filepath.Dir(need.GPUHelper(t))); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "lane.test"), self, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// runOn runs the lane on a machine and returns what it prints. Nothing of this machine's tests is in its environment.
func runOn(t *testing.T, m *gpu.Machine, folder string) (string, error) {
	t.Helper()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	out, err := m.Command("/", env, filepath.Join(folder, "run")).CombinedOutput()
	t.Logf("%s", out)
	return string(out), err
}

// TestLaneOnFakes: what is to run on machines that these tests have not works on those that they have.
func TestLaneOnFakes(t *testing.T) {
	folder := laneFolder(t)
	for name, setup := range map[string]gpu.Setup{
		"usual":  {Place: gpu.Usual, GPUs: 2},
		"folder": {Place: gpu.Folder, GPUs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := runOn(t, machine(t, setup), folder)
			if err != nil {
				t.Errorf("the lane fails: %v", err)
			}
			for _, want := range []string{"helper/spec", "helper/sample", "helper/copy", "container/copy", "container/nvidia-smi"} {
				if !strings.Contains(out, "--- PASS: TestLane/"+want+" ") {
					t.Errorf("%s did not pass", want)
				}
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		out, err := runOn(t, machine(t, gpu.Setup{Place: gpu.None}), folder)
		if err != nil || !strings.Contains(out, "--- SKIP: TestLane ") || !strings.Contains(out, "needs gpu: /dev/nvidiactl: no such file or directory") {
			t.Errorf("the lane is not skipped by name: %v", err)
		}
	})
	t.Run("broken", func(t *testing.T) {
		m := machine(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
		if err := m.Say("fail nvmlInit_v2 999"); err != nil {
			t.Fatal(err)
		}
		if out, err := runOn(t, m, folder); err == nil || !strings.Contains(out, "--- FAIL: TestLane/helper ") {
			t.Errorf("the lane does not fail with a driver that does: %v", err)
		}
	})
}
