package integration_test

import (
	"strings"
	"testing"
)

// TestBusErrorOfSharedMemory: a data loader's worker that uses memory for which a full /dev/shm has no room is ended by SIGBUS.
func TestBusErrorOfSharedMemory(t *testing.T) {
	image := learningImage(t)
	adopt(t)
	b := newBoxAt(t, image.root)
	const program = `
import mmap
with open("/dev/shm/tensor", "w+b") as f:
    f.truncate(32 << 20)
    m = mmap.mmap(f.fileno(), 32 << 20)
    for i in range(0, 32 << 20, 4096):
        m[i] = 1
`
	r := b.do("run", "--shm-size", "8m", image.ref, "python3", "-c", program)
	rec := b.record("last")
	if r.code != 135 || rec.Cause != "shm-full" || !strings.Contains(r.stderr, "ended by SIGBUS when /dev/shm was full (8MiB of 8MiB). Try --shm-size 16m") {
		t.Errorf("status %d, cause %s: %s", r.code, rec.Cause, r.stderr)
	}
}
