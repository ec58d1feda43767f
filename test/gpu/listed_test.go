package gpu_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/gpu"
)

// TestListed: the GPUs of the machine are listed, with what cannot be used and why, and with the job that uses one.
func TestListed(t *testing.T) {
	need.GPUHelper(t)
	t.Parallel() // it waits most of its time
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 4, Denied: []int{1}, MIG: []int{3}})
	say(t, b.m, "lost 2")
	_, end := b.waiting(ref, "device=0", "copy 1 1000 >/dev/null &")
	var list struct {
		GPUs []struct {
			ID, UUID, Unusable string
			Users              []struct{ Run string }
		}
	}
	b.eventually("the job is not listed as a user", func() bool {
		if err := json.Unmarshal([]byte(b.ok("gpus", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		return len(list.GPUs) > 0 && len(list.GPUs[0].Users) > 0
	})
	t.Logf("%+v", list)
	text := b.ok("gpus", "--no-trunc")
	end()
	for _, want := range []string{gpu.Version, "13.0", uuid0, "MIG-fa4e0000-0000-4000-8000-000003000001", "lost"} {
		if !strings.Contains(text, want) {
			t.Errorf("the list has no %s: %s", want, text)
		}
	}
	if run := list.GPUs[0].Users[0].Run; run == "" || !strings.Contains(text, run) {
		t.Errorf("the user of GPU 0 is not the run: %q: %s", run, text)
	}
}

// TestListedNone: a machine without a GPU is no failure of Coracle's.
func TestListedNone(t *testing.T) {
	need.GPUHelper(t)
	b := newBox(t, gpu.Setup{Place: gpu.None})
	if r := b.do("gpus"); r.code != 1 || !strings.Contains(r.stderr, "no GPU") {
		t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
	}
}
