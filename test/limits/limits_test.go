package limits_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/runtime/cgroup"
)

// TestMemory: what takes more than it may dies, and what takes less does not.
func TestMemory(t *testing.T) {
	b := newBox(t, cgroup.Limits{MemoryBytes: 200 << 20})
	const take = `x=$(head -c $((%d << 20)) /dev/zero | tr '\0' a); echo had ${#x}`
	if r := b.run(fmt.Sprintf(take, 300), "--memory", "200m"); r.code != 137 || r.stdout != "" {
		t.Errorf("300 MiB of 200: status %d, %q %q", r.code, r.stdout, r.stderr)
	}
	if r := b.run(fmt.Sprintf(take, 20), "--memory", "200m"); r.code != 0 || r.stdout != "had 20971520\n" {
		t.Errorf("20 MiB of 200: status %d, %q %q", r.code, r.stdout, r.stderr)
	}
	if r := b.run("echo fine", "--memory", "6m"); r.code != 0 && !strings.Contains(r.stderr, "its memory limit does not suffice") {
		t.Errorf("with the least memory there is: status %d, %q %q", r.code, r.stdout, r.stderr)
	}
}

// TestCPUs: two busy loops get no more than they may have, whatever else the machine does. What the job has used is measured by
// the kernel.
func TestCPUs(t *testing.T) {
	b := newBox(t, cgroup.Limits{NanoCPUs: 5e8})
	r := b.run("timeout 2 sh -c 'while :; do :; done' & timeout 2 sh -c 'while :; do :; done'; wait; true", "--cpus", "0.5")
	if r.code != 0 {
		t.Fatalf("status %d, %s", r.code, r.stderr)
	}
	const beginning = 0.3 // seconds: periods that have begun, of 0.05 each, and what comes before the job
	run := b.last()
	if used := run.Totals.CPU; used > 0.5*run.Wall+beginning || used == 0 || run.Sources["totals.cpu_seconds"] != "cgroup" {
		t.Errorf("%.2f s of CPU by %q in %.2f s", used, run.Sources["totals.cpu_seconds"], run.Wall)
	}
}

// TestPids: a fork bomb stops at its limit, and the machine goes on.
func TestPids(t *testing.T) {
	b := newBox(t, cgroup.Limits{Pids: 40})
	r := b.run("for i in $(seq 200); do sleep 1000 & done; echo no", "--pids-limit", "40")
	if r.code == 0 || strings.Contains(r.stdout, "no") || !strings.Contains(r.stderr, "can't fork") {
		t.Errorf("status %d, %q %q", r.code, r.stdout, r.stderr)
	}
	if r := b.run("for i in $(seq 20); do true & done; wait; echo fine"); r.code != 0 || r.stdout != "fine\n" {
		t.Errorf("status %d, %q %q", r.code, r.stdout, r.stderr)
	}
}

// TestCPUSet: the job counts the CPUs that it has, and its libraries are told where the host has more.
func TestCPUSet(t *testing.T) {
	b := newBox(t, cgroup.Limits{CPUSet: []int{0}})
	r := b.run("nproc; grep Cpus_allowed_list /proc/self/status; echo $OMP_NUM_THREADS $MKL_NUM_THREADS", "--cpuset-cpus", "0")
	if fields := strings.Fields(r.stdout); r.code != 0 || len(fields) < 3 || fields[0] != "1" || fields[2] != "0" {
		t.Errorf("status %d, %q %q", r.code, r.stdout, r.stderr)
	}
	if limits := b.last().Limits.Enforced; len(limits) == 0 || limits[0].Limit != cgroup.CPUSet || limits[0].Mechanism == cgroup.ByAffinity {
		t.Errorf("%+v", limits)
	}
}

// TestKilled kills runs with limits at random moments: the next command removes their control groups.
func TestKilled(t *testing.T) {
	b := newBox(t, cgroup.Limits{MemoryBytes: 100 << 20, NanoCPUs: 1e9, Pids: 200})
	run := []string{"run", "-q", "--memory", "100m", "--cpus", "1", "--pids-limit", "200", b.ref, "sh", "-c", "sleep 1000 & sleep 1000"}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	begun := time.Now()
	if r := b.do("run", "-q", "--memory", "100m", b.ref, "true"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	typical := time.Since(begun)
	const rounds, together = 25, 2
	for range rounds {
		var all sync.WaitGroup
		for range together {
			delay := time.Duration(rng.Int64N(int64(typical * 3 / 2)))
			all.Go(func() {
				cmd := b.command(run...)
				if err := cmd.Start(); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(delay)
				if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Error(err)
				}
				_ = cmd.Wait() // it was killed
			})
		}
		all.Wait()
	}
	if r := b.do("images"); r.code != 0 || r.stderr != "" {
		t.Errorf("status %d, %q", r.code, r.stderr)
	}
	b.nothingLeft()
}
