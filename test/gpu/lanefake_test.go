package gpu_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
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
	need.Program(t, filepath.Join(folder, "lane.test"), string(self))
	return folder
}

// withTorch makes a virtual environment of the host's Python with the PyTorch of testdata, and returns the directory of its program, or
// "" where there is no Python.
func withTorch(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		return ""
	}
	said, err := exec.Command(python, "-c", `import sys; print(sys.executable, "python%d.%d" % sys.version_info[:2])`).Output()
	if err != nil {
		t.Fatal(err)
	}
	program, name, _ := strings.Cut(strings.TrimSpace(string(said)), " ")
	torch, err := os.ReadFile(filepath.Join("testdata", "torch.py"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	packages := filepath.Join(dir, "lib", name, "site-packages")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "bin"), 0o755), os.MkdirAll(packages, 0o755), os.Symlink(program, filepath.Join(dir, "bin", "python3")),
		os.WriteFile(filepath.Join(dir, "pyvenv.cfg"), []byte("home = "+filepath.Dir(program)+"\n"), 0o644),
		os.WriteFile(filepath.Join(packages, "torch.py"), torch, 0o644),
	); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bin")
}

// runOn runs the lane on a machine and returns what it prints. Nothing of this machine's tests is in its environment.
func runOn(t *testing.T, m *gpu.Machine, folder string, path ...string) (string, error) {
	t.Helper()
	env := []string{"PATH=" + strings.Join(append(path, os.Getenv("PATH")), ":"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	out, err := m.Command("/", env, filepath.Join(folder, "run")).CombinedOutput()
	t.Logf("%s", out)
	return string(out), err
}

// TestLaneOnFakes: what is to run on machines that these tests have not works on those that they have.
func TestLaneOnFakes(t *testing.T) {
	folder, torch := laneFolder(t), withTorch(t)
	parts := []string{"helper/spec", "helper/sample", "helper/copy", "container/copy", "container/nvidia-smi"}
	if torch != "" {
		parts = append(parts, "container/torch")
	}
	for name, setup := range map[string]gpu.Setup{
		"usual":  {Place: gpu.Usual, GPUs: 2},
		"folder": {Place: gpu.Folder, GPUs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a job there holds its GPU for seconds
			out, err := runOn(t, machine(t, setup), folder, torch)
			if err != nil {
				t.Errorf("the lane fails: %v", err)
			}
			for _, want := range parts {
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
