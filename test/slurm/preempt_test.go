package slurm_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// saved is what a record has of how a job was asked to save its work.
type saved struct {
	ID, Cause  string
	ExitCode   int    `json:"exit_code"`
	RequeuedOf string `json:"requeued_of"`
	Checkpoint struct {
		Why, Signal, Forced string
		Seconds             float64
		Targets             []struct{ Name string }
		Files               []struct{ Path string }
	}
}

// files are the names of what was changed.
func (s saved) files() (names []string) {
	for _, f := range s.Checkpoint.Files {
		names = append(names, filepath.Base(f.Path))
	}
	return names
}

// submit writes a batch script and has it queued.
func (b *box) submit(text string) (job string) {
	b.t.Helper()
	script := filepath.Join(b.home, "train.sh")
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(b.fine("sbatch", "--parsable", script))
}

// ended waits until no job is there.
func (b *box) ended() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.until("the jobs' end", func() error { return b.none(ctx) }); err != nil {
		b.t.Fatal(err)
	}
}

// history are the records of a job's tasks, those from before it was put back into the queue first.
func (b *box) history(job string) (list []saved) {
	b.t.Helper()
	var batch struct{ Tasks []struct{ Run saved } }
	if err := json.Unmarshal([]byte(b.fine("coracle", "runs", "--job", job, "--json")), &batch); err != nil {
		b.t.Fatal(err)
	}
	for _, task := range batch.Tasks {
		list = append(list, task.Run)
	}
	return list
}

// lines are those of a file of the box.
func (b *box) lines(name string) int {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.home, name))
	if err != nil {
		b.t.Error(err)
	}
	return strings.Count(string(text), "\n")
}

// TestWarned: Slurm warns the batch script alone (--signal=B:USR1@...), which here is Coracle: of a launcher and its workers those are asked that
// have a handler, once each, and the launcher, which has none, goes on until they have saved their work.
func TestWarned(t *testing.T) {
	b := newBox(t)
	b.pull()
	job := b.submit(`#!/bin/sh
#SBATCH --signal=B:USR1@55 --time=1 --output=train.out -n1
exec coracle run -q --checkpoint-signal USR1 --stop-timeout 60s --exit-code preempted=75 -v $PWD:/out ` + b.ref + ` sh -c '
	for i in 1 2 3; do sh -c "trap \"echo got >>/out/got.$i; echo 17 >/out/state.$i; exit 0\" USR1; : >/out/up.$i; while :; do sleep 0.1; done" & done
	wait; echo ended >/out/launcher; exit 0'
`)
	b.await("up.1", "up.2", "up.3")
	b.ended()
	runs := b.history(job)
	if len(runs) != 1 {
		t.Fatalf("%+v", runs)
	}
	r := runs[0]
	if r.Cause != "preempted" || r.ExitCode != 75 || r.Checkpoint.Why != "SIGUSR1" || r.Checkpoint.Signal != "SIGUSR1" || r.Checkpoint.Forced != "" || len(r.Checkpoint.Targets) != 3 {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"got.1", "got.2", "got.3", "launcher"} {
		if n := b.lines(name); n != 1 {
			t.Errorf("%s has %d lines", name, n)
		}
		if !strings.Contains(strings.Join(r.files(), " "), name) {
			t.Errorf("the record has not that %s has changed: %q", name, r.files())
		}
	}
}

// TestPreempted: a job of a partition that comes first has Slurm preempt another, which is asked to end, by a signal to all of its processes, and
// has its time. Its script puts it back into the queue, and it goes on from what it has saved.
func TestPreempted(t *testing.T) {
	b := newBox(t)
	b.pull()
	job := b.submit(`#!/bin/sh
#SBATCH --requeue --open-mode=append --output=train.out -N2 -n4
trap : TERM
srun coracle run -q --checkpoint-signal TERM --stop-timeout 60s --exit-code preempted=75 -v $PWD:/out ` + b.ref + ` sh -c '
	if [ -e /out/state.$RANK ]; then echo "goes on from $(cat /out/state.$RANK)"; exit 0; fi
	trap "echo got >>/out/got.$RANK; sleep 1; echo 17 >/out/state.$RANK; exit 0" TERM; : >/out/up.$RANK; while :; do sleep 0.1; done'
[ $? = 75 ] && exec scontrol requeue $SLURM_JOB_ID
`)
	b.await("up.0", "up.1", "up.2", "up.3")
	b.fine("srun", "-p", "urgent", "-N2", "--exclusive", "true")
	b.fine("scontrol", "update", "JobId="+job, "StartTime=now") // Slurm waits two minutes by itself
	b.ended()
	if out, err := os.ReadFile(filepath.Join(b.home, "train.out")); err != nil || strings.Count(string(out), "goes on from 17\n") != 4 {
		t.Errorf("%s, %v", out, err)
	}
	runs := b.history(job)
	if len(runs) != 8 {
		t.Fatalf("%+v", runs)
	}
	for i, r := range runs[:4] {
		rank := string(rune('0' + i))
		if r.Cause != "preempted" || r.ExitCode != 75 || r.RequeuedOf != "" || r.Checkpoint.Why != "SIGTERM" || r.Checkpoint.Forced != "" || r.Checkpoint.Seconds < 0.5 { // it takes a second, but has the signal first
			t.Errorf("rank %d, the first time: %+v", i, r)
		}
		if n := b.lines("got." + rank); n != 1 || !strings.Contains(strings.Join(r.files(), " "), "state."+rank) {
			t.Errorf("rank %d got the signal %d times, and has saved %q", i, n, r.files())
		}
		if next := runs[4+i]; next.Cause != "exited" || next.ExitCode != 0 || next.RequeuedOf != r.ID {
			t.Errorf("rank %d, the second time: %+v", i, next)
		}
	}
}
