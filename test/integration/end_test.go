package integration_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStatus: the job's status passes through, and nothing is left, however it ends.
func TestStatus(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	for _, tc := range []struct {
		name string
		args []string
		code int
	}{
		{"success", []string{"true"}, 0},
		{"failure", []string{"sh", "-c", "exit 3"}, 3},
		{"killed by itself", []string{"sh", "-c", "kill -9 $$"}, 137},
		{"aborted by itself", []string{"sh", "-c", "kill -ABRT $$"}, 134},
		{"leaves children", []string{"sh", "-c", "setsid sleep 1000 & sleep 1000 & exit 4"}, 4},
		{"command not found", []string{"no-such-command"}, 127},
		{"path not found", []string{"/no/such/command"}, 127},
		{"not executable", []string{"/etc/passwd"}, 126},
		{"a directory", []string{"/etc"}, 126},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			r := b.do(append([]string{"run", ref}, tc.args...)...)
			if r.code != tc.code {
				t.Errorf("status %d, want %d: %s", r.code, tc.code, r.stderr)
			}
			nothingLeft(t, b)
		})
	}
}

// TestSignals: a signal to the supervisor reaches the job, and the job's end is the run's.
func TestSignals(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	for _, tc := range []struct {
		name   string
		script string
		signal syscall.Signal
		code   int
		stdout string
	}{
		{"SIGTERM ends", "echo up; exec sleep 1000", syscall.SIGTERM, 143, "up\n"},
		{"SIGINT ends", "echo up; exec sleep 1000", syscall.SIGINT, 130, "up\n"},
		{"SIGTERM is handled", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done", syscall.SIGTERM, 7, "up\nbye\n"},
		{"SIGUSR1 is handled", "trap 'echo usr; exit 8' USR1; echo up; while :; do sleep 0.05; done", syscall.SIGUSR1, 8, "up\nusr\n"},
		{"SIGINT, with children", "(sleep 1000; echo no) & trap 'exit 9' INT; echo up; while :; do sleep 0.05; done", syscall.SIGINT, 9, "up\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			j := b.startJob(ref, tc.script)
			if err := j.Process.Signal(tc.signal); err != nil {
				t.Fatal(err)
			}
			if r := b.wait(j); r.code != tc.code || r.stdout != tc.stdout {
				t.Errorf("status %d, %q, want %d, %q: %s", r.code, r.stdout, tc.code, tc.stdout, r.stderr)
			}
			nothingLeft(t, b)
		})
	}
}

// TestSignalAtAnyMoment asks a run to end at random moments from its first instant. Either the job never began, or it gets the
// signal and its answer counts; in no case is it killed for an end that it was only asked for.
func TestSignalAtAnyMoment(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	const rounds = 60
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range rounds {
		j := b.start("run", ref, "sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done")
		delay := 5*time.Millisecond + time.Duration(rng.Int64N(int64(60*time.Millisecond)))
		time.Sleep(delay)
		if err := j.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		r := b.wait(j)
		// 128+15 is the end of a run that had no job yet, and of a shell that had no trap yet.
		if r.code != 7 && (r.code != 143 && r.code != -1 || r.stdout != "") { // -1: it came before Coracle listened
			t.Errorf("SIGTERM after %v: status %d, %q: %s", delay, r.code, r.stdout, r.stderr)
		}
	}
	nothingLeft(t, b)
}

// startJob starts a shell script in the image and waits until the script has come to "echo up;". The job has a volume /out.
func (b *box) startJob(ref, script string, options ...string) *job {
	b.t.Helper()
	b.dir("out")
	mark := filepath.Join(b.wd, "out", "up")
	if err := os.Remove(mark); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	script = strings.Replace(script, "echo up;", "echo up; : >/out/up;", 1)
	args := append([]string{"run", "-v", b.wd + "/out:/out"}, options...)
	j := b.start(append(args, ref, "sh", "-c", script)...)
	const limit = 20 * time.Second
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(mark); err == nil {
			return j
		}
		if left := descendants(); len(left) == 0 || time.Now().After(deadline) {
			// An ended run's output says more than that the job is not up.
			_ = j.Process.Kill()
			r := b.wait(j)
			b.t.Fatalf("the job is not up, processes %q: status %d: %s%s", left, r.code, r.stdout, r.stderr)
		}
	}
}

// TestStopTimeout: a job that will not end is killed, and all of it, after the time that was granted.
func TestStopTimeout(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	j := b.startJob(ref, "trap '' TERM INT; setsid sleep 1000 & echo up; while :; do sleep 1000; done", "--stop-timeout", "1s")
	start := time.Now()
	if err := j.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r := b.wait(j)
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("killed after %v, before its time", took)
	}
	if r.code != 137 {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
	nothingLeft(t, b)
}

// TestKilledSupervisor kills `coracle run` with SIGKILL at random moments, from its first instant to a running job: the job
// dies with it, and the next command removes what is left and says that the run is lost.
func TestKilledSupervisor(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	const kills = 60
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range kills {
		j := b.start("run", ref, "sh", "-c", "trap '' TERM INT HUP; setsid sleep 1000 & sleep 1000 & wait; wait")
		// Start-up takes some 20 to 100 ms on the machines that test; a few kills wait for a job that surely runs.
		delay := time.Duration(rng.Int64N(int64(120 * time.Millisecond)))
		if i%10 == 9 {
			delay = 500 * time.Millisecond
		}
		time.Sleep(delay)
		if err := j.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		b.wait(j)
		waitFor(t, fmt.Sprintf("the job dies with its supervisor (killed after %v)", delay), 10*time.Second, func() error {
			if left := descendants(); len(left) > 0 {
				return fmt.Errorf("processes %q", left)
			}
			return nil
		})
	}
	b.ok("runs")
	nothingLeft(t, b)
	b.allLost()
	if got := b.ok("run", ref, "echo", "fine"); got != "fine" {
		t.Errorf("the next run says %q", got)
	}
}

// allLost holds that every record of the box has an end, and that none of them claims the job ended by itself.
func (b *box) allLost() {
	b.t.Helper()
	ids, err := os.ReadDir(filepath.Join(b.root, "runs"))
	if err != nil {
		b.t.Fatal(err)
	}
	lost := 0
	for _, id := range ids {
		if !id.IsDir() {
			continue
		}
		if _, err := os.Stat(filepath.Join(b.root, "runs", id.Name(), "run.json")); err != nil {
			b.t.Errorf("a directory is left that is no record: %v", err)
			continue
		}
		if rec := b.record(id.Name()); rec.State != "lost" {
			b.t.Errorf("run %s: state %q, cause %q, though its supervisor was killed", id.Name(), rec.State, rec.Cause)
		}
		lost++
	}
	if lost == 0 {
		b.t.Error("not one of the killed runs left a record")
	}
}
