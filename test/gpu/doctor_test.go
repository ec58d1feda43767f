package gpu_test

import (
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/gpu"
)

// TestDoctorOfMachines: what is wrong with a machine's GPUs is named, with what mends it, and by whom.
func TestDoctorOfMachines(t *testing.T) {
	need.GPUHelper(t)
	for name, tc := range map[string]struct {
		setup gpu.Setup
		lines []string // told to the driver
		env   []string
		code  int
		says  []string
	}{
		"all is well":     {gpu.Setup{Place: gpu.Usual, GPUs: 2}, nil, nil, 0, []string{"ok gpu 2 of 2 can be used, by driver "}},
		"no GPU":          {gpu.Setup{Place: gpu.None}, nil, nil, 0, []string{"ok gpu there is none: "}},
		"no CUDA":         {gpu.Setup{Place: gpu.Usual, GPUs: 1, NoUVM: true}, nil, nil, 2, []string{"failure gpu /dev/nvidia-uvm is missing", "fix (administrator): modprobe nvidia-uvm"}},
		"one is denied":   {gpu.Setup{Place: gpu.Usual, GPUs: 2, Denied: []int{1}}, nil, nil, 1, []string{"ok gpu 1 of 2 can be used", "warning gpu GPU 1 cannot be used: ", "fix (you): 'coracle gpus'"}},
		"no helper":       {gpu.Setup{Place: gpu.Usual, GPUs: 1}, nil, []string{"CORACLE_NVIDIA_HELPER=/no/such"}, 1, []string{"warning gpu the GPU helper is not installed", "fix (you): install coracle-nvidia beside coracle"}},
		"it hangs":        {gpu.Setup{Place: gpu.Usual, GPUs: 1}, []string{"hang nvmlInit_v2"}, []string{"CORACLE_GPU_TIMEOUT=2s"}, 1, []string{"warning gpu the GPU helper does not answer", "'nvidia-smi' shows"}},
		"an update of it": {gpu.Setup{Place: gpu.Usual, GPUs: 1}, []string{"fail nvmlInit_v2 18"}, nil, 1, []string{"warning gpu the NVIDIA driver does not work", "kernel module has to be loaded anew"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, tc.setup)
			if tc.lines != nil {
				say(t, b.m, tc.lines...)
			}
			b.env = append(b.env, tc.env...)
			b.examined(tc.code, tc.says, "--offline")
		})
	}
}

// TestDoctorOfImages: what CUDA an image wants is compared with what the driver can do.
func TestDoctorOfImages(t *testing.T) {
	need.GPUHelper(t)
	b := newBox(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
	for name, tc := range map[string]struct {
		env  []string
		code int
		says string
	}{
		"older":                    {[]string{"CUDA_VERSION=11.8.0", "NVIDIA_REQUIRE_CUDA=cuda>=11.8 brand=tesla,driver>=450,driver<451"}, 0, "ok cuda the image is made for CUDA 11.8.0; driver "},
		"newer":                    {[]string{"CUDA_VERSION=99.1.0", "NVIDIA_REQUIRE_CUDA=cuda>=99.1"}, 1, "warning cuda the image wants cuda>=99.1; driver "},
		"nothing":                  {nil, 0, "ok cuda the image does not say"},
		"newer, and no more said":  {[]string{"CUDA_VERSION=99.1.0"}, 1, "warning cuda the image is made for CUDA 99.1.0; driver "},
		"newer, and enough for it": {[]string{"CUDA_VERSION=99.1.0", "NVIDIA_REQUIRE_CUDA=cuda>=9.0"}, 0, "note cuda the image is made for CUDA 99.1.0; driver "},
		"newer within its major":   {[]string{"CUDA_VERSION=13.9.0"}, 0, "ok cuda the image is made for CUDA 13.9.0; driver "},
		"long and odd":             {[]string{"CUDA_VERSION=" + strings.Repeat("99.\x1b", 9999)}, 1, "made for CUDA 99.\\x1b99.\\x1b"},
		"no number":                {[]string{"CUDA_VERSION=twelve"}, 0, "ok cuda the image is made for CUDA twelve; driver "},
	} {
		t.Run(name, func(t *testing.T) {
			inner := b.of(t)
			im := fixture.Busybox(t)
			im.Config.Env = append(im.Config.Env, tc.env...)
			inner.examined(tc.code, []string{tc.says}, inner.pull(im, nil))
		})
	}
}

// examined runs the doctor and looks for lines of it, in which spaces count as one. The machine is a user namespace with one user, so that
// none of them has subordinate ids.
func (b *box) examined(code int, says []string, args ...string) {
	b.t.Helper()
	r := b.do(append([]string{"doctor"}, args...)...)
	var text strings.Builder
	for line := range strings.Lines(r.stdout) {
		text.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	for _, want := range append(says, "note subordinate-ids ") {
		if !strings.Contains(text.String(), want) {
			b.t.Errorf("it does not say %q:\n%s%s", want, r.stdout, r.stderr)
		}
	}
	if r.code != code {
		b.t.Errorf("status %d, want %d:\n%s%s", r.code, code, r.stdout, r.stderr)
	}
}
