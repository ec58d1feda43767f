package gpu_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/gpu"
)

// words runs a program on a machine and returns its lines.
func words(t *testing.T, m *gpu.Machine, env []string, name string, args ...string) []string {
	t.Helper()
	out, err := m.Command("/", append(env, "PATH="+os.Getenv("PATH")), name, args...).CombinedOutput()
	t.Logf("%s: %v\n%s", name, err, out)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("there is no line %q in %q", line, got)
		}
	}
}

// TestMachine: what is installed on a machine is found as a real driver would be, and answers what it is told to.
func TestMachine(t *testing.T) {
	d := driver(t)
	t.Run("usual", func(t *testing.T) {
		m := machine(t, gpu.Setup{Place: gpu.Usual, GPUs: 2})
		wantLines(t, words(t, m, nil, d.Path("copy"), "1"), "driver 13.0", "devices 2", "same yes", "ok")
		wantLines(t, words(t, m, nil, "nvidia-smi"), "NVIDIA-SMI "+gpu.Version, "GPU 0", "GPU 1")
		wantLines(t, words(t, m, nil, d.Path("list")), "driver "+gpu.Version, "count 2", "utilization 0 37", "mig 1 0",
			"uuid 1 GPU-fa4e0000-0000-4000-8000-000000000001")
		if err := m.Say("utilization 1 93", "temperature 0 77", "fail nvmlDeviceGetPowerUsage 3"); err != nil {
			t.Fatal(err)
		}
		wantLines(t, words(t, m, nil, d.Path("list")), "utilization 0 37", "utilization 1 93", "temperature 0 77", "power 0 error 3")
	})
	t.Run("folder", func(t *testing.T) {
		m := machine(t, gpu.Setup{Place: gpu.Folder, GPUs: 1})
		if got := words(t, m, nil, d.Path("copy"), "1"); !strings.Contains(got[0], "cannot open shared object file") {
			t.Errorf("the loader knows the driver: %q", got)
		}
		env := []string{"LD_LIBRARY_PATH=" + gpu.FolderPath + "/lib64"}
		wantLines(t, words(t, m, env, d.Path("copy"), "1"), "devices 1", "ok")
		wantLines(t, words(t, m, env, gpu.FolderPath+"/bin/nvidia-smi"), "GPU 0")
	})
	t.Run("none", func(t *testing.T) {
		m := machine(t, gpu.Setup{Place: gpu.None})
		if got := words(t, m, nil, d.Path("copy"), "1"); !strings.Contains(got[0], "cannot open shared object file") {
			t.Errorf("there is a driver: %q", got)
		}
	})
	t.Run("trouble", func(t *testing.T) {
		m := machine(t, gpu.Setup{Place: gpu.Usual, GPUs: 3, Denied: []int{1}, MIG: []int{2}})
		if err := m.Say("lost 0"); err != nil {
			t.Fatal(err)
		}
		wantLines(t, words(t, m, nil, d.Path("list")), "count 3", "gpu 0 error 15", "gpu 1 error 4", "mig 2 1", "utilization 2 error 3")
		wantLines(t, words(t, m, nil, d.Path("copy"), "1"), "devices 2", "ok")
	})
	t.Run("without unified memory", func(t *testing.T) {
		m := machine(t, gpu.Setup{Place: gpu.Usual, GPUs: 1, NoUVM: true})
		wantLines(t, words(t, m, nil, d.Path("copy"), "1"), "failed cuInit: error 999: unknown error")
		wantLines(t, words(t, m, nil, d.Path("list")), "count 1")
	})
}
