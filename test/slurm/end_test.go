package slurm_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// TestKilledRank: one of eight dies. Its record says why, srun ends the others as it was told to, and nothing is left.
func TestKilledRank(t *testing.T) {
	b := newBox(t)
	b.pull()
	const script = `if [ $RANK = 3 ]; then sleep 2; kill -9 $$; fi; while :; do sleep 1; done`
	r := b.do("srun", "-N2", "-n8", "--kill-on-bad-exit=1", "coracle", "run", "-q", b.ref, "sh", "-c", script)
	if r.code == 0 || !strings.Contains(r.stderr, "task 3") {
		t.Errorf("srun: status %d: %s", r.code, r.stderr)
	}
	ranks := b.runs()
	if len(ranks) != 8 {
		t.Fatalf("%d records", len(ranks))
	}
	job := ranks[0].Scheduler["SLURM_JOB_ID"]
	if out := b.fine("coracle", "runs", "--job", job); !strings.Contains(out, "8 failed, on n1, n2\nfirst to fail: task 3 on n1 at ") || !strings.Contains(out, "SIGKILL") {
		t.Error(out)
	}
	page := strings.Split(b.fine("coracle", "report", "--job", job), "\n")
	begins := func(prefix string) func(string) bool {
		return func(line string) bool { return strings.HasPrefix(line, prefix) }
	}
	if table := slices.IndexFunc(page, begins("TASK ")); table < 0 || !strings.HasPrefix(page[table+1], "3 ") || !slices.ContainsFunc(page, begins("FIRST TO FAIL: task 3 on n1")) {
		t.Errorf("%q", page)
	}
	for rank, run := range ranks {
		switch {
		case rank == 3 && (run.Signal != "SIGKILL" || run.Cause != "signalled" || *run.ExitCode != 137):
			t.Errorf("the one that was killed: %+v", run)
		case rank != 3 && (run.State != "exited" || run.Cause != "stopped" && run.Cause != "signalled"):
			t.Errorf("rank %d: %+v", rank, run)
		}
	}
}

// TestKilledSupervisors: Slurm kills what does not end. A step whose supervisors are killed leaves no job behind.
func TestKilledSupervisors(t *testing.T) {
	b := newBox(t)
	b.pull()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	srun := b.command(ctx, "srun", "-N2", "-n4", "coracle", "run", "-q", "-v", b.home+":/out", b.ref, "sh", "-c", `trap "" TERM INT; : >/out/up.$RANK; while :; do sleep 1; done`)
	if err := srun.Start(); err != nil {
		t.Fatal(err)
	}
	b.await("up.0", "up.1", "up.2", "up.3")
	supervisors := 0
	for _, line := range b.processes() {
		pid, argv, _ := strings.Cut(line, " ")
		if n, err := strconv.Atoi(pid); err == nil && strings.HasPrefix(argv, "coracle run") || strings.HasPrefix(argv, b.coracle+" run") {
			supervisors++
			_ = syscall.Kill(n, syscall.SIGKILL) // it may have gone with another
		}
	}
	if err := srun.Wait(); err == nil || supervisors < 4 {
		t.Errorf("%d supervisors killed, srun: %v", supervisors, err)
	}
}

// TestSignals: what scancel sends reaches the job, which has its time; a job that asks for no signal is ended by SIGTERM, and one
// that does not heed it is killed when Slurm's patience is at its end.
func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name, script, signal string
		cause                string
		code                 int
	}{
		{"a handler of USR1", `trap 'echo saved >>/out/saved; sleep 1; exit 3' USR1; : >/out/up; while :; do sleep 0.1; done`, "USR1", "exited", 3},
		{"a handler of TERM", `trap 'sleep 1; echo saved >>/out/saved; exit 0' TERM; : >/out/up; while :; do sleep 0.1; done`, "", "stopped", 0},
		{"no handler", `: >/out/up; exec sleep 1000`, "TERM", "stopped", 143},
		// Slurm has signalled its child as well: a shell that passed that on would be heard twice, here as outside of a container.
		{"a shell round it", `trap 'wait; exit 4' USR1; sh -c 'trap "echo saved >>/out/saved; sleep 1; exit 0" USR1; : >/out/up; while :; do sleep 0.1; done' & wait`, "USR1", "exited", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			b.pull()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			srun := b.command(ctx, "srun", "-n1", "-J", "signals", "coracle", "run", "-q", "-v", b.home+":/out", b.ref, "sh", "-c", c.script)
			if err := srun.Start(); err != nil {
				t.Fatal(err)
			}
			b.await("up")
			job := strings.TrimSpace(b.fine("squeue", "-h", "-n", "signals", "-o", "%A"))
			args := []string{job}
			if c.signal != "" {
				args = []string{"--signal=" + c.signal, job}
			}
			b.fine("scancel", args...)
			_ = srun.Wait() // the record says how it ended
			r := b.runs()[0]
			if r.Cause != c.cause || r.ExitCode == nil || *r.ExitCode != c.code {
				t.Errorf("%+v: %s, want %s %d", r, r.Message, c.cause, c.code)
			}
			if strings.Contains(c.script, "saved") {
				if text, err := os.ReadFile(filepath.Join(b.home, "saved")); err != nil || string(text) != "saved\n" {
					t.Errorf("the handler: %q, %v", text, err)
				}
			}
		})
	}
}

// TestRequeue: a job that is warned saves its work, and its script has it put back into the queue by the status that says so. Its next run
// knows of the one before.
func TestRequeue(t *testing.T) {
	b := newBox(t)
	b.pull()
	script := filepath.Join(b.home, "train.sh")
	text := `#!/bin/sh
#SBATCH --requeue --open-mode=append --output=train.out -n2
srun coracle run -q --checkpoint-signal USR1 --stop-timeout 60s --exit-code preempted=75 -v $PWD:/out ` + b.ref + ` sh -c '
	if [ -e /out/state.$RANK ]; then echo "goes on from $(cat /out/state.$RANK)"; exit 0; fi
	trap "echo 17 >/out/state.$RANK; exit 0" USR1; : >/out/up.$RANK; while :; do sleep 0.1; done'
[ $? = 75 ] && exec scontrol requeue $SLURM_JOB_ID
`
	need.Program(t, script, text)
	job := strings.TrimSpace(b.fine("sbatch", "--parsable", script))
	b.await("up.0", "up.1")
	b.fine("scancel", "--signal=USR1", job)
	b.await("state.0", "state.1")
	if err := b.until("the job's place in the queue", func() error {
		if r := b.do("squeue", "-h", "-j", job, "-t", "PENDING", "-o", "%A"); strings.TrimSpace(r.stdout) != job {
			return &seen{r}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b.fine("scontrol", "update", "JobId="+job, "StartTime=now") // Slurm waits two minutes by itself
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.until("the job's end", func() error { return b.none(ctx) }); err != nil {
		t.Fatal(err)
	}
	if out, err := os.ReadFile(filepath.Join(b.home, "train.out")); err != nil || strings.Count(string(out), "goes on from 17\n") != 2 {
		t.Errorf("%s, %v", out, err)
	}
	var batch struct {
		Tasks []struct {
			Restarts int
			Run      struct {
				ID, Cause  string
				ExitCode   int    `json:"exit_code"`
				RequeuedOf string `json:"requeued_of"`
				Task       struct{ Rank int }
			}
		}
	}
	if err := json.Unmarshal([]byte(b.fine("coracle", "runs", "--job", job, "--json")), &batch); err != nil || len(batch.Tasks) != 4 {
		t.Fatalf("%+v, %v", batch, err)
	}
	for i, task := range batch.Tasks {
		r := task.Run
		switch first := i < 2; {
		case first && (r.Cause != "preempted" || r.ExitCode != 75 || r.RequeuedOf != "" || task.Restarts != 0):
			t.Errorf("the first time: %+v", task)
		case !first && (r.Cause != "exited" || r.ExitCode != 0 || r.RequeuedOf != batch.Tasks[i-2].Run.ID || task.Restarts != 1):
			t.Errorf("the second time: %+v", task)
		}
	}
}

// await waits until the job has made some files.
func (b *box) await(names ...string) {
	b.t.Helper()
	for _, name := range names {
		if err := b.until(name, func() error { _, err := os.Stat(filepath.Join(b.home, name)); return err }); err != nil {
			b.t.Fatal(err)
		}
	}
}

// TestAccounting: Slurm sees what the job's processes use, and no process leaves its step.
func TestAccounting(t *testing.T) {
	b := newBox(t)
	b.pull()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	srun := b.command(ctx, "srun", "-n1", "-J", "accounting", "coracle", "run", "-q", "-v", b.home+":/out", b.ref, "sh", "-c",
		`x=$(head -c 150000000 /dev/zero | tr '\0' a); : >/out/up; until [ -e /out/enough ]; do sleep 0.2; done`)
	if err := srun.Start(); err != nil {
		t.Fatal(err)
	}
	b.await("up")
	job := strings.TrimSpace(b.fine("squeue", "-h", "-n", "accounting", "-o", "%A"))
	rss := regexp.MustCompile(`(?m)^(\d+)K$`)
	if err := b.until("what sstat sees", func() error {
		r := b.do("sstat", "-n", "-P", "-j", job+".0", "-o", "MaxRSS")
		if m := rss.FindStringSubmatch(r.stdout); m != nil {
			if kib, err := strconv.Atoi(m[1]); err == nil && kib > 140000 {
				return nil
			}
		}
		return &seen{r}
	}); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(b.home, "enough"), nil, 0o644); err != nil {
		t.Error(err)
	}
	if err := srun.Wait(); err != nil {
		t.Error(err)
	}
}

// seen is what sstat said that was not enough.
type seen struct{ result }

func (s *seen) Error() string { return "sstat: " + s.stdout + s.stderr }
