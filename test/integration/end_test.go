package integration_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/trace"
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

// TestSignalsComeOnce: who signals all processes of a run, as a batch system does with those of a step, ends none that the job
// needs, and the job hears it once; so it does of what is sent to the supervisor alone, or to PID 1 alone. What the supervisor does not
// pass on reaches only those whom it was sent to.
func TestSignalsComeOnce(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.compile("receipts")
	all := func(j *job) []int { return everyProcess(j, true) }
	supervisor := func(j *job) []int { return everyProcess(j, false) }
	init := func(j *job) []int {
		for pid, p := range processes() {
			if p.name == "coracle-init" && below(pid, j.Process.Pid, processes()) {
				return []int{pid}
			}
		}
		t.Fatalf("no PID 1 among %q", descendants())
		return nil
	}
	passed := []syscall.Signal{unix.SIGUSR1, unix.SIGALRM, unix.SIGUSR2}
	others := []syscall.Signal{unix.SIGWINCH, unix.SIGPROF, 40}
	const heard, allHeard = "ALRM USR1 USR2 XCPU up TERM", "40 ALRM PROF USR1 USR2 WINCH XCPU up TERM"
	for _, c := range []struct {
		name    string
		to      func(*job) []int
		last    func(*job) []int // who gets the signal that comes after all others
		options []string
		want    string
	}{
		{"all, flat", all, init, []string{"--userns", "flat"}, allHeard},
		{"all, host-uid", all, init, []string{"--userns", "host-uid"}, allHeard},
		{"all, the job is PID 1", all, supervisor, []string{"--init=false"}, allHeard},
		{"the supervisor, flat", supervisor, init, []string{"--userns", "flat"}, heard},
		{"the supervisor, host-uid", supervisor, init, []string{"--userns", "host-uid"}, heard},
		{"the supervisor, the job is PID 1", supervisor, supervisor, []string{"--init=false"}, heard},
		{"PID 1, flat", init, init, []string{"--userns", "flat"}, heard},
		{"PID 1, host-uid", init, init, []string{"--userns", "host-uid"}, heard},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			j := b.startJob(ref, "rm -f /out/[A-Zl0-9]*; echo up; exec /hard/receipts", append([]string{"-v", "./hard:/hard:ro"}, c.options...)...)
			b.awaitFile(j, "out/listening")
			for _, signal := range slices.Concat(passed, others) {
				signalTogether(t, j, c.to(j), signal)
			}
			signalTo(t, c.last(j), unix.SIGXCPU) // held back the longest: whatever comes twice comes before
			b.awaitFile(j, "out/XCPU")
			signalTo(t, c.to(j), unix.SIGTERM)
			r := b.wait(j)
			lines := slices.DeleteFunc(strings.Fields(r.stdout), func(line string) bool { return line == "CONT" }) // see signalTogether
			slices.Sort(lines[:max(0, len(lines)-1)])                                                              // in which order the kernel has those that are pending nobody knows
			if r.code != 7 || strings.Join(lines, " ") != c.want {
				t.Errorf("status %d, %q, want 7, %q: %s", r.code, lines, c.want, r.stderr)
			}
			nothingLeft(t, b)
		})
	}
}

// signalTogether signals processes of a run as at one moment, however long it takes. Init, or without it the keeper, tells what has come to all
// from what has come to the supervisor alone, by when it comes: it stands still meanwhile. The SIGCONT that it then has is passed on by init.
func signalTogether(t *testing.T, j *job, pids []int, signal syscall.Signal) {
	t.Helper()
	var pairs []int
	all := processes()
	for pid, is := range all {
		if len(pids) > 1 && below(pid, j.Process.Pid, all) && (is.name == "coracle-init" || is.name == "coracle-keeper") {
			pairs = append(pairs, pid)
		}
	}
	signalTo(t, pairs, unix.SIGSTOP)
	signalTo(t, pids, signal)
	signalTo(t, pairs, unix.SIGCONT)
}

func signalTo(t *testing.T, pids []int, signal syscall.Signal) {
	t.Helper()
	for _, pid := range pids {
		// Of all processes of a run the first to be signalled may be what the others end with.
		if err := unix.Kill(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			t.Fatal(err)
		}
	}
}

// awaitFile waits until a job has made a file. One that ends before that has failed.
func (b *box) awaitFile(j *job, name string) {
	b.t.Helper()
	for ; !b.has(name); time.Sleep(time.Millisecond) {
		if len(descendants()) == 0 {
			b.t.Fatalf("%+v", b.wait(j))
		}
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
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(mark); err == nil {
			return j
		}
		if left := descendants(); len(left) == 0 || time.Now().After(end) {
			// An ended run's output says more than that the job is not up.
			_ = j.Process.Kill()
			r := b.wait(j)
			b.t.Fatalf("the job is not up, processes %q: status %d: %s%s", left, r.code, r.stdout, r.stderr)
		}
	}
}

// has reports whether a file is there, below the working directory.
func (b *box) has(name string) bool {
	_, err := os.Stat(filepath.Join(b.wd, name))
	return err == nil
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

// TestRecordReachesTheDisk: a run does not wait for the disk, and somebody does.
func TestRecordReachesTheDisk(t *testing.T) {
	b, ref := busybox(t)
	notes := filepath.Join(t.TempDir(), "trace")
	j := b.command("run", ref, "true")
	j.Env = append(j.Env, trace.Env+"="+notes)
	if out, err := j.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	waitFor(t, "the record to be on disk", patience, func() error {
		text, err := os.ReadFile(notes)
		if err == nil && !strings.Contains(string(text), trace.Keeper+" "+trace.Settled) {
			err = errors.New("the keeper has not said so")
		}
		return err
	})
	if text, err := os.ReadFile(notes); err != nil || !strings.Contains(string(text), trace.Keeper+" "+trace.Rehearsed) {
		t.Errorf("the keeper's rehearsal: %v, %s", err, text)
	}
}
