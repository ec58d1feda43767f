package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// checkpoint is what a record has of it.
type checkpoint struct {
	Cause      string
	ExitCode   int `json:"exit_code"`
	Checkpoint *struct {
		Why, Signal, Forced string
		Targets             []struct{ Name string }
		Seconds             float64
		Files               []struct {
			Path  string
			Bytes int64
		}
	}
}

// TestCheckpoint: who can save its work is asked to, once, and has its time for it; the record has who that was and what was saved.
func TestCheckpoint(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.compile("saver")
	const usr1, usr2, term, rt3 = "10", "12", "15", "37"
	const grace = "3s" // in which also a busy machine has let the job save its work
	for _, c := range []struct {
		name    string
		script  string
		options []string
		await   []string       // files that say who is there
		send    syscall.Signal // to the supervisor; 0: none
		all     bool           // to all processes

		code           int
		cause, why     string
		forced         string
		targets, saved []string
	}{
		{
			name: "the job itself", script: "exec /hard/saver job " + usr1 + " 3", await: []string{"job"}, send: unix.SIGTERM,
			code: 3, cause: "stopped", why: "SIGTERM", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "in a batch job", script: "exec /hard/saver job " + usr1 + " 3", await: []string{"job"}, send: unix.SIGTERM,
			options: []string{"--exit-code", "preempted=75"}, code: 75, cause: "preempted", why: "SIGTERM", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "below a shell", script: "/hard/saver child " + usr1 + " 0; exit 4", await: []string{"child"}, send: unix.SIGTERM,
			code: 4, cause: "stopped", why: "SIGTERM", targets: []string{"saver"}, saved: []string{"child"},
		},
		{
			name: "several, of which one has copied itself", script: "/hard/saver one " + usr1 + " 0 copy & /hard/saver two " + usr1 + " 0 & wait %1 %2; exit 5",
			await: []string{"one", "one-copy", "two"}, send: unix.SIGTERM,
			code: 5, cause: "stopped", why: "SIGTERM", targets: []string{"saver", "saver"}, saved: []string{"one", "two"},
		},
		{
			name: "asked by the batch system", script: "exec /hard/saver job " + usr1 + " 3", await: []string{"job"}, send: unix.SIGUSR1,
			code: 3, cause: "stopped", why: "SIGUSR1", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "asked by the batch system, all of them", script: "exec /hard/saver job " + usr1 + " -1 ", await: []string{"job"}, send: unix.SIGUSR1, all: true,
			options: []string{"--stop-timeout", grace}, code: 143, cause: "stopped", why: "SIGUSR1", forced: "SIGTERM", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "saves and goes on", script: "exec /hard/saver job " + usr1 + " -1", await: []string{"job"}, send: unix.SIGTERM,
			options: []string{"--stop-timeout", grace}, code: 143, cause: "stopped", why: "SIGTERM", forced: "SIGTERM", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "does not heed the end", script: "trap '' TERM; exec /hard/saver job " + usr1 + " -1", await: []string{"job"}, send: unix.SIGTERM,
			options: []string{"--stop-timeout", grace}, code: 137, cause: "stopped", why: "SIGTERM", forced: "SIGKILL", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "PID 1", script: "exec /hard/saver job " + usr1 + " 3", await: []string{"job"}, send: unix.SIGTERM,
			options: []string{"--init=false"}, code: 3, cause: "stopped", why: "SIGTERM", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "PID 1, with all others", script: "exec /hard/saver job " + usr1 + " -1", await: []string{"job"}, send: unix.SIGUSR1, all: true,
			options: []string{"--init=false", "--stop-timeout", grace}, code: 137, cause: "stopped", why: "SIGUSR1", forced: "SIGKILL", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "PID 1 that handles nothing", script: "exec /hard/saver job " + usr2 + " 3", await: []string{"job"}, send: unix.SIGTERM,
			options: []string{"--init=false", "--stop-timeout", "300ms"}, code: 137, cause: "stopped",
		},
		{
			name: "a child of PID 1", script: "/hard/saver child " + usr1 + " 0; exit 4", await: []string{"child"}, send: unix.SIGTERM,
			options: []string{"--init=false"}, code: 4, cause: "stopped", why: "SIGTERM", targets: []string{"saver"}, saved: []string{"child"},
		},
		{
			name: "a launcher, its workers and what those have begun", script: "for i in 1 2 3; do /hard/saver worker$i " + usr1 + " 0 copy & done; wait %1 %2 %3; exit 6",
			await: []string{"worker1", "worker1-copy", "worker2", "worker2-copy", "worker3", "worker3-copy"}, send: unix.SIGTERM,
			code: 6, cause: "stopped", why: "SIGTERM", targets: []string{"saver", "saver", "saver"}, saved: []string{"worker1", "worker2", "worker3"},
		},
		{
			name: "nobody listens", script: "exec /hard/saver job " + usr2 + " 3", await: []string{"job"}, send: unix.SIGTERM,
			code: 143, cause: "stopped",
		},
		{
			name: "by the very signal that ends", script: "exec /hard/saver job " + term + " 6", await: []string{"job"}, send: unix.SIGTERM,
			options: []string{"--checkpoint-signal", "TERM"}, code: 6, cause: "stopped", why: "SIGTERM", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "by one that nothing else is done with", script: "exec /hard/saver job " + rt3 + " 3", await: []string{"job"}, send: unix.Signal(37),
			options: []string{"--checkpoint-signal", "RTMIN+3"}, code: 3, cause: "stopped", why: "signal 37", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "when time is about to be over", script: "exec /hard/saver job " + usr1 + " 3", await: []string{"job"},
			options: []string{"--timeout", "34s", "--checkpoint-before", "30s"}, code: 3, cause: "stopped", why: "time-left", targets: []string{"saver"}, saved: []string{"job"},
		},
		{
			name: "saves in time and has to end", script: "exec /hard/saver job " + usr1 + " -1", await: []string{"job"},
			options: []string{"--timeout", "8s", "--checkpoint-before", "4s"}, code: 124, cause: "timeout", why: "time-left", targets: []string{"saver"}, saved: []string{"job"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			if err := os.RemoveAll(filepath.Join(b.wd, "out")); err != nil {
				t.Fatal(err)
			}
			if c.cause == "preempted" {
				t.Setenv("SLURM_JOB_ID", "42")
			}
			options := append([]string{"-v", "./hard:/hard:ro", "--checkpoint-signal", "USR1"}, c.options...)
			j := b.startJob(ref, "echo up; "+c.script, options...)
			for slices.ContainsFunc(c.await, func(name string) bool { return !b.has("out/" + name) }) {
				if time.Sleep(time.Millisecond); len(descendants()) == 0 {
					t.Fatalf("%+v", b.wait(j))
				}
			}
			if c.send != 0 {
				for _, pid := range everyProcess(j, c.all) {
					if err := unix.Kill(pid, c.send); err != nil {
						t.Fatal(err)
					}
				}
			}
			r := b.wait(j)
			var got checkpoint
			if err := json.Unmarshal([]byte(b.ok("runs", "show", "last", "--json")), &got); err != nil {
				t.Fatal(err)
			}
			if r.code != c.code || got.Cause != c.cause || got.ExitCode != c.code {
				t.Errorf("status %d, cause %s, want %d, %s: %s", r.code, got.Cause, c.code, c.cause, r.stderr)
			}
			compareCheckpoint(t, got, c.why, c.forced, c.targets, c.saved)
			if c.forced != "" && got.Checkpoint.Seconds < 3 {
				t.Errorf("it was ended after %g s of %s", got.Checkpoint.Seconds, grace)
			}
			for _, name := range c.await {
				text, _ := os.ReadFile(filepath.Join(b.wd, "out", name+".saved")) // one that is not there is empty
				if lines := strings.Count(string(text), "\n"); lines > 1 || (lines == 1) != slices.Contains(c.saved, name) {
					t.Errorf("%s has saved %d times", name, lines)
				}
			}
			nothingLeft(t, b)
		})
	}
}

// everyProcess is the supervisor, or it and all of its run.
func everyProcess(j *job, all bool) []int {
	pids := []int{j.Process.Pid}
	if !all {
		return pids
	}
	known := processes()
	for pid := range known {
		if below(pid, j.Process.Pid, known) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func compareCheckpoint(t *testing.T, got checkpoint, why, forced string, targets, saved []string) {
	t.Helper()
	c := got.Checkpoint
	if (c != nil) != (why != "") {
		t.Fatalf("%+v", got)
	}
	if c == nil {
		return
	}
	var names, files []string
	for _, target := range c.Targets {
		names = append(names, target.Name)
	}
	for _, file := range c.Files {
		// Those that say who is there may be as young as the clock's tick.
		if name, ok := strings.CutSuffix(strings.TrimPrefix(file.Path, "/out/"), ".saved"); ok && file.Bytes > 0 {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	if c.Why != why || c.Forced != forced || !slices.Equal(names, targets) || !slices.Equal(files, saved) {
		t.Errorf("%+v; want %q %q %q %q", c, why, forced, targets, saved)
	}
}
