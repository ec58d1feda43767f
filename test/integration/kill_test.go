package integration_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// killedMode is one way to run a job whose supervisor is going to be killed.
type killedMode struct {
	name    string
	options []string
	prepare func(t *testing.T, j *exec.Cmd) // gives it its standard input; nil: none is given
}

var killedModes = []killedMode{
	{name: "root"},
	{name: "USER 1000", options: []string{"-u", "1000"}},
	{name: "a volume and a secret", options: []string{"-v", "shared:/shared", "-v", "/own", "--secret", "id=s,env=HOME"}},
	{name: "the job is PID 1", options: []string{"--init=false"}},
	// Its supervisor is a child of the command, whose own death is that of the terminal.
	{name: "a terminal", options: []string{"-it", "--stop-timeout", "0"}, prepare: func(t *testing.T, j *exec.Cmd) {
		p := newTerminal(t, 24, 80)
		j.Stdin, j.Stdout, j.Stderr = p.slave, p.slave, p.slave
	}},
	{name: "an input without end", options: []string{"-i"}, prepare: func(t *testing.T, j *exec.Cmd) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = r.Close(), w.Close() })
		j.Stdin = r
	}},
	{name: "no input", options: []string{"-i"}, prepare: func(_ *testing.T, j *exec.Cmd) {
		// A shell closes what Go cannot start a program without, and becomes it.
		j.Args = append([]string{"sh", "-c", `exec "$@" <&-`, "sh"}, j.Args...)
		j.Path = "/bin/sh"
	}},
}

// TestKilledSupervisor kills `coracle run` with SIGKILL at random moments from its first instant to its end, two at a time: the
// job dies with it, and the next command removes what is left and says that the run is lost.
func TestKilledSupervisor(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	rounds := 60
	if tortured() {
		rounds = 300
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := killer{b: b, ref: ref, rng: rand.New(rand.NewPCG(seed, 0)), typical: b.typicalRun(ref)}
	for i := 0; i < rounds; i += 2 {
		t.Run(fmt.Sprint("round ", i), func(t *testing.T) { k.pair(t, i) })
		if i%50 == 48 || i+2 >= rounds {
			b.t = t
			b.ok([][]string{{"runs", "--quiet"}, {"gc"}, {"ps"}}[i/50%3]...) // any command would do
			nothingLeft(t, b)
		}
		if t.Failed() {
			break
		}
	}
	b.t = t
	lost, ended := b.endsOf()
	t.Logf("%d of %d runs were killed with a record, %d had ended before; a run takes %v; after a kill all was gone after %v at most",
		lost, rounds, ended, k.typical, k.longest)
	if lost == 0 {
		t.Error("not one of the killed runs left a record")
	}
	if got := b.ok("run", ref, "echo", "fine"); got != "fine" {
		t.Errorf("the next run says %q", got)
	}
}

// typicalRun is how long a whole run of nothing takes here and now.
func (b *box) typicalRun(ref string) time.Duration {
	b.t.Helper()
	const runs = 4
	start := time.Now()
	for range runs / 2 {
		one, two := b.start("run", ref, "true"), b.start("run", ref, "true")
		b.wait(one)
		b.wait(two)
	}
	return time.Since(start) / (runs / 2)
}

// killer kills runs.
type killer struct {
	b       *box
	ref     string
	rng     *rand.Rand
	typical time.Duration // of a whole run
	longest time.Duration // from a kill until all is gone
}

// pair starts two runs and kills each at a moment of its own.
func (k *killer) pair(t *testing.T, round int) {
	k.b.t = t
	var jobs [2]*job
	var delays [2]time.Duration
	for i := range jobs {
		jobs[i] = k.start(t, round+i)
		delays[i] = time.Duration(k.rng.Int64N(int64(k.typical * 3 / 2)))
	}
	start := time.Now()
	first := 0
	if delays[1] < delays[0] {
		first = 1
	}
	for _, i := range []int{first, 1 - first} {
		time.Sleep(time.Until(start.Add(delays[i])))
		for _, pid := range childrenOf(jobs[i].Process.Pid, killedModes[(round+i)%len(killedModes)].name == "a terminal") {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
		if err := jobs[i].Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	killed := time.Now()
	k.b.wait(jobs[0])
	k.b.wait(jobs[1])
	goneInASecond(t, fmt.Sprintf("killed after %v", delays))
	k.longest = max(k.longest, time.Since(killed))
}

// childrenOf are the processes that a command has started, if they are wanted.
func childrenOf(pid int, wanted bool) (children []int) {
	if !wanted {
		return nil
	}
	for child, p := range processes() {
		if p.parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// start starts a run in one of the modes: one that never ends by itself, or one that is over soon.
func (k *killer) start(t *testing.T, round int) *job {
	script := "trap '' TERM INT HUP; setsid sleep 1000 & sleep 1000 & wait; wait"
	if round/len(killedModes)%2 == 1 {
		script = "setsid sleep 1000 & echo over >/file"
	}
	mode := killedModes[round%len(killedModes)]
	args := append([]string{"run"}, mode.options...)
	j := &job{Cmd: k.b.command(append(args, k.ref, "sh", "-c", script)...)}
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if mode.prepare != nil {
		mode.prepare(t, j.Cmd)
	}
	if err := j.Start(); err != nil {
		t.Fatal(err)
	}
	return j
}

// goneInASecond fails the test when a process is left after a second. It is counted in looks: on a machine that has no time for
// them the dying get as much longer as the one who looks.
func goneInASecond(t *testing.T, when string) {
	t.Helper()
	var left []string
	for range 100 {
		if left = descendants(); len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: a second later there are %q", when, left)
}

// endsOf holds that every record of the box has an end, and counts those of runs whose supervisor was killed and of runs that
// ended by themselves.
func (b *box) endsOf() (lost, ended int) {
	b.t.Helper()
	for _, id := range b.runIDs() {
		if _, err := os.Stat(filepath.Join(b.root, "runs", id, "run.json")); err != nil {
			b.t.Errorf("a directory is left that is no record: %v", err)
		}
	}
	for _, r := range b.records() {
		switch {
		case r.State == "lost" && r.Cause == "lost" && r.ExitCode == nil:
			lost++
		case r.TTY && r.State == "exited" && r.Cause == "stopped" && r.ExitCode != nil: // the terminal went before the supervisor was killed
			ended++
		case r.State == "exited" && r.Cause == "exited" && r.ExitCode != nil && *r.ExitCode == 0:
			ended++
		default:
			b.t.Errorf("run %s: state %q, cause %q, status %v", r.ID, r.State, r.Cause, r.ExitCode)
		}
	}
	return lost, ended
}

// runIDs are the names of all that lies where records do.
func (b *box) runIDs() (ids []string) {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.root, "runs"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			ids = append(ids, e.Name())
		}
	}
	return ids
}
