package slurm_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestShareNode: of four ranks on two nodes, those of one node are in one container, and not those of the other, though here both nodes have
// one store. What a rank uses is on its own account.
func TestShareNode(t *testing.T) {
	b := newBox(t)
	b.pull()
	const script = `
: >/dev/shm/rank.$RANK; : >/out/up.$RANK
for r in 0 1 2 3; do until [ -e /out/up.$r ]; do sleep 0.1; done; done
if [ $RANK = 1 ]; then i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done; fi
ranks=$(cat /proc/[0-9]*/environ 2>/dev/null | tr "\0" "\n" | grep ^SLURM_PROCID= | sort -u | tr -d "A-Z_=" | tr "\n" " ")
echo $RANK sees files $(ls /dev/shm) and processes of $ranks
: >/out/done.$RANK
for r in 0 1 2 3; do until [ -e /out/done.$r ]; do sleep 0.1; done; done`
	out := b.fine("srun", "-N2", "--ntasks-per-node=2", "coracle", "run", "-q", "--share", "node", "-v", b.home+":/out", b.ref, "sh", "-c", script)
	for _, want := range []string{
		"0 sees files rank.0 rank.1 and processes of 0 1", "1 sees files rank.0 rank.1 and processes of 0 1",
		"2 sees files rank.2 rank.3 and processes of 2 3", "3 sees files rank.2 rank.3 and processes of 2 3",
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	ranks := b.runs()
	for rank, run := range ranks {
		if run.State != "exited" || run.ExitCode == nil || *run.ExitCode != 0 || rank != 1 && run.Totals.CPU > ranks[1].Totals.CPU {
			t.Errorf("rank %d: %+v; rank 1 has used %v s", rank, run, ranks[1].Totals.CPU)
		}
	}
}

// TestShareNodeKilled: when the supervisor of the rank that has made a container is killed, the others on the node and on the other one go on to
// their end, and nothing is left.
func TestShareNodeKilled(t *testing.T) {
	b := newBox(t)
	b.pull()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	srun := b.command(ctx, "srun", "-N2", "-n6", "--kill-on-bad-exit=0", "coracle", "run", "-q", "--share", "node", "-v", b.home+":/out", b.ref,
		"sh", "-c", `: >/out/up.$RANK; while [ ! -e /out/go ]; do sleep 0.1; done; echo $RANK fine`)
	var out bytes.Buffer
	srun.Stdout = &out
	if err := srun.Start(); err != nil {
		t.Fatal(err)
	}
	b.await("up.0", "up.1", "up.2", "up.3", "up.4", "up.5")
	maker := b.maker()
	if err := syscall.Kill(b.supervisor(maker), syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(b.home, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := srun.Wait(); err == nil {
		t.Error("srun has not noticed")
	}
	if n := strings.Count(out.String(), "fine\n"); n != 5 || strings.Contains(out.String(), strconv.Itoa(maker)+" fine") {
		t.Errorf("rank %d was killed, and there are %q", maker, out.String())
	}
	for rank, run := range b.runs() {
		if rank != maker && (run.State != "exited" || *run.ExitCode != 0) || rank == maker && run.State != "lost" {
			t.Errorf("rank %d, of which %d was killed: %+v", rank, maker, run)
		}
	}
}

// maker is the rank that has made the container of one of the nodes.
func (b *box) maker() int {
	b.t.Helper()
	for rank, run := range b.runs() {
		events, err := os.ReadFile(filepath.Join(b.home, ".local/share/coracle/runs", run.ID, "events.jsonl"))
		if err != nil {
			b.t.Fatal(err)
		}
		if bytes.Contains(events, []byte(`"made":true`)) {
			return rank
		}
	}
	b.t.Fatal("nobody has made the container")
	return -1
}

// supervisor is the process that supervises a rank.
func (b *box) supervisor(rank int) int {
	b.t.Helper()
	for _, line := range b.processes() {
		text, argv, _ := strings.Cut(line, " ")
		pid, err := strconv.Atoi(text)
		if err != nil || !strings.HasPrefix(argv, "coracle run") && !strings.HasPrefix(argv, b.coracle+" run") {
			continue
		}
		environ, err := os.ReadFile("/proc/" + text + "/environ")
		if err == nil && bytes.Contains(environ, []byte("\x00SLURM_PROCID="+strconv.Itoa(rank)+"\x00")) {
			return pid
		}
	}
	b.t.Fatalf("rank %d has no supervisor", rank)
	return -1
}
