package slurm_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestRanks: every task of a step over two nodes knows itself and the first of them, as its record does.
func TestRanks(t *testing.T) {
	b := newBox(t)
	b.pull()
	const script = `echo rank=$RANK of=$WORLD_SIZE local=$LOCAL_RANK of=$LOCAL_WORLD_SIZE node=$SLURM_NODEID at=$MASTER_ADDR uid=$(id -u) port=$MASTER_PORT`
	out := b.fine("srun", "-N2", "-n6", "--ntasks-per-node=3", "coracle", "run", "-q", b.ref, "sh", "-c", script)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	if len(lines) != 6 {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	_, port, _ := strings.Cut(lines[0], "port=")
	for rank, line := range lines {
		want := fmt.Sprintf("rank=%d of=6 local=%d of=3 node=%d at=n1 uid=0 port=%s", rank, rank%3, rank/3, port)
		got := line
		if got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
	for rank, r := range b.runs() {
		if r.State != "exited" || r.ExitCode == nil || *r.ExitCode != 0 || r.Scheduler["SLURM_JOB_ID"] == "" || r.Scheduler["SLURM_STEP_ID"] != "0" {
			t.Errorf("rank %d: %+v", rank, r)
		}
	}
	if number, err := strconv.Atoi(port); err != nil || number < 1024 || number > 32767 {
		t.Errorf("port %q", port)
	}
}

// TestStepsMeetApart: two steps of one job at the same time have ports of their own.
func TestStepsMeetApart(t *testing.T) {
	b := newBox(t)
	b.pull()
	script := `srun --overlap -n2 -o one coracle run -q ` + b.ref + ` sh -c 'echo $MASTER_ADDR $MASTER_PORT' & srun --overlap -n2 -o two coracle run -q ` + b.ref + ` sh -c 'echo $MASTER_ADDR $MASTER_PORT'; wait; sort -u one; sort -u two`
	out := strings.Fields(b.fine("salloc", "-Q", "-N1", "-n4", "sh", "-c", script))
	if len(out) != 4 || out[0] != "127.0.0.1" || out[2] != "127.0.0.1" || out[1] == out[3] {
		t.Errorf("%q", out)
	}
}

// TestColdRanks: 64 ranks of an image that nobody has yet pull it once between them, and all start.
func TestColdRanks(t *testing.T) {
	b := newBox(t)
	busybox := fixture.Busybox(t)
	noise := make([]byte, 8<<20)
	seed := uint64(1)
	for i := range noise {
		seed = seed*6364136223846793005 + 1442695040888963407
		noise[i] = byte(seed >> 56)
	}
	image := fixture.Image{Layers: append(slices.Clone(busybox.Layers), fixture.NewLayer(fixture.Gzip, fixture.File("noise", string(noise), 0o644)))}
	b.reg.Push("cold:1", image)
	var size int64
	for _, l := range image.Layers {
		size += int64(len(l.Blob))
	}
	size += int64(len(image.Manifest().Data) + len(image.ConfigBlob().Data))
	var served atomic.Int64
	b.reg.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&counting{w, &served}, r) })
	})
	out := b.fine("srun", "-N1", "-n64", "--exact", "coracle", "run", "-q", b.reg.Ref("cold:1"), "sh", "-c", "wc -c </noise")
	if lines := strings.Fields(out); len(lines) != 64 || slices.ContainsFunc(lines, func(l string) bool { return l != strconv.Itoa(len(noise)) }) {
		t.Errorf("%d ranks: %q", len(lines), lines)
	}
	if got := served.Load(); float64(got) > 1.01*float64(size) {
		t.Errorf("%d bytes served of an image of %d", got, size)
	}
	if ranks := b.runs(); len(ranks) != 64 {
		t.Errorf("%d records", len(ranks))
	}
}

// counting counts the bytes of bodies.
type counting struct {
	http.ResponseWriter
	bytes *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// TestArray: the tasks of a job array, from a batch script, are one table of results.
func TestArray(t *testing.T) {
	b := newBox(t)
	b.pull()
	script := filepath.Join(b.home, "sweep.sh")
	text := `#!/bin/sh
#SBATCH --array=1-3 --output=%a.out
exec coracle run -q -e RATE=$SLURM_ARRAY_TASK_ID ` + b.ref + ` sh -c 'echo "{\"loss\": 0.$RATE, \"rate\": $RATE}" >>$CORACLE_METRICS'
`
	need.Program(t, script, text)
	out := b.fine("sbatch", "--parsable", "--wait", script)
	job, _, _ := strings.Cut(strings.TrimSpace(out), ";")
	table := b.fine("coracle", "runs", "--job", job)
	want := regexp.MustCompile(`(?s)^TASK .* LOSS +RATE\n1 .* 0\.1 +1 *\n2 .* 0\.2 +2 *\n3 .* 0\.3 +3 *\n.* job ` + job + ` sweep\.sh: 3 finished, on `)
	if !want.MatchString(table) {
		t.Error(table)
	}
}
