package gpu_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/gpu"
)

// impatient is a box whose helper has two seconds for an answer; what follows ends long before the usual patience of a minute.
func impatient(t *testing.T) (*box, string) {
	t.Helper()
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
	b.env = append(b.env, "CORACLE_GPU_TIMEOUT=2s")
	return b, ref
}

// usualPatience is how long a helper has for its first answer.
const usualPatience = time.Minute

// TestHelperFailsAtStart: a helper that does not do what it should ends the run in time, says why, and leaves nothing behind.
func TestHelperFailsAtStart(t *testing.T) {
	t.Parallel() // it waits most of its time
	b, ref := impatient(t)
	for name, tc := range map[string]struct{ script, says string }{
		"garbage":   {"read -r l; echo what?; read -r l", "no answer"},
		"partial":   {`printf '{"protocol":1,'`, "helper"},
		"exits":     {"echo no good >&2; exit 3", "no good"},
		"killed":    {"kill -KILL $$", "killed"},
		"hangs":     {"sleep 1000", "does not answer"},
		"chatters":  {"while :; do echo; done", "helper"},
		"endless":   {"cat /dev/zero", "helper"},
		"version":   {`read -r l; echo '{"protocol":99,"inventory":{"gpus":[]}}'; read -r l`, "version"},
		"forgets":   {`read -r l; echo '{"protocol":1}'; read -r l`, "helper"},
		"not there": {"", "not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			inner := b.of(t)
			helper := filepath.Join(t.TempDir(), "coracle-nvidia")
			if tc.script != "" {
				need.Program(t, helper, "#!/bin/sh\n"+tc.script+"\n")
			}
			inner.env = append(inner.env, "CORACLE_NVIDIA_HELPER="+helper)
			inner.failsInTime(tc.says, ref)
		})
	}
	for name, tc := range map[string]struct{ line, says string }{
		"driver hangs":   {"hang nvmlInit_v2", "does not answer"},
		"driver hangs 2": {"hang nvmlDeviceGetName", "does not answer"},
		"driver crashes": {"crash nvmlDeviceGetUUID", "helper"},
		"driver refuses": {"fail nvmlInit_v2 999", "driver"},
		"driver differs": {"fail nvmlInit_v2 18", "driver"},
	} {
		t.Run(name, func(t *testing.T) {
			say(t, b.m, tc.line)
			b.of(t).failsInTime(tc.says, ref)
		})
	}
	say(t, b.m)
	wantLines(t, b.lines("--gpus", "all", ref, "copy", "1"), "ok")
	if left, err := filepath.Glob(filepath.Join(b.root, "upper", "*")); err != nil || len(left) > 0 {
		t.Errorf("uppers were left behind: %q, %v", left, err)
	}
}

// failsInTime runs a job that must not start.
func (b *box) failsInTime(says, ref string) {
	b.t.Helper()
	r := b.do("run", "-q", "--gpus", "all", ref, "echo", "started")
	if r.code != 125 || r.took >= usualPatience || r.stdout != "" || !strings.Contains(r.stderr, says) {
		b.t.Errorf("status %d after %v, want 125 and %q: %s%s", r.code, r.took, says, r.stdout, r.stderr)
	}
	if strings.Contains(r.stderr, "goroutine ") {
		b.t.Errorf("the failure is not told as one: %s", r.stderr)
	}
}
