package gpu_test

import (
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/gpu"
)

const (
	uuid0 = "GPU-fa4e0000-0000-4000-8000-000000000000"
	uuid1 = "GPU-fa4e0000-0000-4000-8000-000000000001"
	mig1  = "MIG-fa4e0000-0000-4000-8000-000000000001" // of GPU 0, its second instance
)

const nodes = "cd /dev; for n in nvidia[0-9]* nvidia-caps/*; do if test -c $n; then echo $n; fi; done; echo visible=$NVIDIA_VISIBLE_DEVICES"

// TestSelection: a job sees the devices that were asked for, and no other.
func TestSelection(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 3})
	for selection, want := range map[string]string{
		"1":                        "nvidia0\nvisible=" + uuid0,
		"2":                        "nvidia0\nnvidia1\nvisible=" + uuid0 + "," + uuid1,
		"device=1":                 "nvidia1\nvisible=" + uuid1,
		"device=" + uuid1:          "nvidia1\nvisible=" + uuid1,
		uuid0:                      "nvidia0\nvisible=" + uuid0,
		`"device=1,0"`:             "nvidia0\nnvidia1\nvisible=" + uuid1 + "," + uuid0,
		"all,capabilities=utility": "nvidia0\nnvidia1\nnvidia2\nvisible=" + uuid0 + "," + uuid1 + "," + strings.TrimSuffix(uuid1, "1") + "2",
	} {
		t.Run(selection, func(t *testing.T) {
			if got := b.of(t).ok("run", "-q", "--gpus", selection, ref, "sh", "-c", nodes); got != want {
				t.Errorf("the job sees\n%s\nwant\n%s", got, want)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		if got := b.of(t).ok("run", "-q", "--gpus", "none", ref, "sh", "-c", nodes); strings.Contains(got, "nvidia") || strings.Contains(got, "GPU-") {
			t.Errorf("the job sees %s", got)
		}
	})
	for selection, says := range map[string]string{"4": "3", "device=7": "7", "GPU-0000": "GPU-0000", "device=": "device", "lots": "lots"} {
		t.Run("refused "+selection, func(t *testing.T) {
			if got := b.of(t).refused("run", "-q", "--gpus", selection, ref, "true"); !strings.Contains(got, says) {
				t.Errorf("it is not said what there is: %s", got)
			}
		})
	}
}

// TestWhatCannotBeUsed: "all" is what there is to be had; what was asked for by name and cannot be had is refused.
func TestWhatCannotBeUsed(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 4, Denied: []int{1}})
	say(t, b.m, "lost 2")
	r := b.do("run", "-q", "--gpus", "all", ref, "sh", "-c", nodes)
	if r.code != 0 || !strings.HasPrefix(r.stdout, "nvidia0\nnvidia3\nvisible=") {
		t.Errorf("of four GPUs, one forbidden and one lost: status %d: %s%s", r.code, r.stdout, r.stderr)
	}
	for _, selection := range []string{"device=1", "device=2", "3"} {
		if got := b.refused("run", "-q", "--gpus", selection, ref, "true"); strings.Contains(got, "usage") {
			t.Errorf("%s: %s", selection, got)
		}
	}
}

// TestInstances: a part of a GPU is given with the capabilities that it takes, and no other part.
func TestInstances(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 2, MIG: []int{0}})
	want := "nvidia0\nnvidia-caps/nvidia-cap5\nnvidia-caps/nvidia-cap6\nvisible=" + mig1
	for _, selection := range []string{mig1, "device=0:1"} {
		if got := b.ok("run", "-q", "--gpus", selection, ref, "sh", "-c", nodes); got != want {
			t.Errorf("%s: the job sees\n%s\nwant\n%s", selection, got, want)
		}
	}
}

// TestNoUnifiedMemory: CUDA cannot work then, though nvidia-smi does, and who runs the job should know before it fails.
func TestNoUnifiedMemory(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 1, NoUVM: true})
	if r := b.do("run", "-q", "--gpus", "all", ref, "nvidia-smi"); r.code != 0 || !strings.Contains(r.stderr, "nvidia-uvm") {
		t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// TestNoDriver: where there is no GPU, one that is asked for is refused, and everything else works.
func TestNoDriver(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.None})
	if got := b.refused("run", "-q", "--gpus", "all", ref, "true"); !strings.Contains(got, "NVIDIA driver") {
		t.Errorf("it is not said that there is no driver: %s", got)
	}
	b.ok("run", "-q", ref, "true")
	b.ok("run", "-q", "--gpus", "none", ref, "true")
}

// TestNamedRoot: where the driver is may be said.
func TestNamedRoot(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Folder, GPUs: 1})
	wantLines(t, b.lines("--gpus", "all", "--driver-root", gpu.FolderPath, ref, "copy", "1"), "ok")
	var record struct {
		GPUs   []struct{ UUID string }
		Driver struct{ Version, Root string } `json:"gpu_driver"`
	}
	if b.last(&record); len(record.GPUs) != 1 || record.GPUs[0].UUID != uuid0 || record.Driver.Version != gpu.Version || record.Driver.Root != gpu.FolderPath {
		t.Errorf("the record has %+v", record)
	}
	if got := b.refused("run", "-q", "--gpus", "all", "--driver-root", b.wd, ref, "true"); !strings.Contains(got, b.wd) {
		t.Errorf("it is not said where there is no driver: %s", got)
	}
}

func say(t *testing.T, m *gpu.Machine, lines ...string) {
	t.Helper()
	if err := m.Say(lines...); err != nil {
		t.Fatal(err)
	}
}

// TestBatch: in a scheduler's job "all" is what its devices' rules let be opened. The numbers that the scheduler gives are within that, and
// the job's begin at 0 anyway.
func TestBatch(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 4, Denied: []int{0, 1}})
	b.env = append(b.env, "SLURM_JOB_ID=7", "SLURM_STEP_ID=0", "SLURM_PROCID=0", "SLURM_JOB_GPUS=2,3", "SLURM_STEP_GPUS=2,3", "CUDA_VISIBLE_DEVICES=0,1", "GPU_DEVICE_ORDINAL=0,1")
	got := b.lines("--gpus", "all", ref, "sh", "-c", nodes+`; echo "cuda=${CUDA_VISIBLE_DEVICES-0,1} ordinal=${GPU_DEVICE_ORDINAL-0,1}"; copy 1`)
	wantLines(t, got, "nvidia2", "nvidia3", "cuda=0,1 ordinal=0,1", "devices 2", "ok")
	for _, line := range got {
		if line == "nvidia0" || line == "nvidia1" {
			t.Errorf("the job sees %s, which is somebody else's", line)
		}
	}
	b.env = append(b.env, "CUDA_VISIBLE_DEVICES=1")
	wantLines(t, b.lines("--gpus", "all", ref, "sh", "-c", nodes+`; echo "cuda=${CUDA_VISIBLE_DEVICES-0}"; copy 1`), "nvidia3", "cuda=0", "devices 1", "ok")
}
