package integration_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/test/fixture"
)

// TestMemoryOfAPull: what a pull needs does not grow with the image, and keeps to its budget.
func TestMemoryOfAPull(t *testing.T) {
	reg := fixture.Serve(t)
	reg.Push("weights:1", fixture.Image{Layers: []fixture.Layer{
		weights(1, fixture.Plain, 64<<20), weights(2, fixture.Zstd, 64<<20), weights(3, fixture.Gzip, 40<<20), weights(4, fixture.Gzip, 8<<20),
	}})
	for _, c := range []struct {
		args []string
		most int64 // KiB
	}{{nil, 100 << 10}, {[]string{"--memory-budget", "48m"}, 48 << 10}} {
		b := newBox(t)
		args := append([]string{"pull", "-q", reg.Ref("weights:1")}, c.args...)
		j := b.start(args...)
		peak := make(chan int64)
		go func() { peak <- peakMemory(j.Process.Pid) }()
		if r := b.wait(j); r.code != 0 {
			t.Fatalf("status %d: %s", r.code, r.stderr)
		}
		got := <-peak
		t.Logf("coracle %s: %d MiB", strings.Join(args, " "), got>>10)
		if got > c.most || got == 0 {
			t.Errorf("coracle %s: %d KiB, at most %d", strings.Join(args, " "), got, c.most)
		}
	}
}

// weights is a layer of files that do not compress.
func weights(seed byte, c fixture.Compression, size int) fixture.Layer {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(body) // never fails
	const files = 64
	var entries []fixture.Entry
	for n := range files {
		entries = append(entries, fixture.File(fmt.Sprintf("weights-%d-%d", seed, n), string(body[n*size/files:(n+1)*size/files]), 0o644))
	}
	return fixture.NewLayer(c, entries...)
}

// peakMemory watches a process until it ends, and returns the most memory it had resident, in KiB. What rusage says would be
// that of this test, for the kernel counts a process from before its exec.
func peakMemory(pid int) (peak int64) {
	for {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return peak
		}
		_, rest, ok := strings.Cut(string(raw), "VmHWM:")
		if !ok {
			return peak // a zombie
		}
		kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return peak
		}
		peak = max(peak, kib)
		time.Sleep(5 * time.Millisecond)
	}
}
