package integration_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	beside  []string                        // another command, with the name of the run behind it, that is at work on the job when the supervisor is killed
	apart   bool                            // the supervisor is a child of the command, or is left behind by it
	ranks   bool                            // two of them are in one container
}

var killedModes = []killedMode{
	{name: "root"},
	{name: "USER 1000", options: []string{"-u", "1000"}},
	{name: "a volume and a secret", options: []string{"-v", "shared:/shared", "-v", "/own", "--secret", "id=s,env=HOME"}},
	{name: "the job is PID 1", options: []string{"--init=false"}},
	// Its supervisor is a child of the command, whose own death is that of the terminal.
	{name: "a terminal", apart: true, options: []string{"-it", "--stop-timeout", "0"}, prepare: func(t *testing.T, j *exec.Cmd) {
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
	{name: "started again, and again", options: []string{"--restart", "always"}},
	{name: "its writable layer is kept", options: []string{"--upper", "keep:torn"}},
	{name: "detached", apart: true, options: []string{"-d"}},
	// Those with another command, and those that share a container, are even in number, and begin at an even place: two of them are killed at
	// a time.
	{name: "a command in it", beside: []string{"exec", "NAME", "sh", "-c", "trap '' TERM HUP; setsid sleep 1000 & sleep 1000"}},
	{name: "attached to", beside: []string{"attach", "--no-stdin", "NAME"}},
	{name: "its output is followed", beside: []string{"logs", "-f", "NAME"}},
	{name: "waited for, detached", apart: true, options: []string{"-d"}, beside: []string{"wait", "NAME"}},
	{name: "paused", beside: []string{"pause", "NAME"}},
	{name: "copied to", beside: []string{"cp", "-", "NAME:/"}},
	{name: "a rank", ranks: true, options: []string{"--share", "node"}},
	{name: "another rank", ranks: true, options: []string{"--share", "node"}},
}

// newKiller is one for a box of its own, with how many rounds there are to be: so many, or more where tests are tortured.
func newKiller(t *testing.T, rounds, tortures int) (*killer, int) {
	t.Helper()
	b, ref := busybox(t)
	adopt(t)
	if tortured() {
		rounds = tortures
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return &killer{b: b, ref: ref, rng: rand.New(rand.NewPCG(seed, 0)), typical: b.typicalRun(ref)}, rounds
}

// TestKilledSupervisor kills `coracle run` with SIGKILL at random moments from its first instant to its end, two at a time: the
// job dies with it, and the next command removes what is left and says that the run is lost.
func TestKilledSupervisor(t *testing.T) {
	k, rounds := newKiller(t, 60, 300)
	b, ref := k.b, k.ref
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
	for _, options := range [][]string{{}, {"--upper", "keep:torn"}} {
		if got := b.ok(slices.Concat([]string{"run", "-q"}, options, []string{ref, "echo", "fine"})...); got != "fine" {
			t.Errorf("the next run %q says %q", options, got)
		}
	}
	b.ok("upper", "rm", "torn")
	nothingLeft(t, b)
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

// victim is a run that is going to be killed.
type victim struct {
	*job
	mode   killedMode
	mark   string // that the command lines of the command and of its supervisor have, and no other
	beside *job   // nil: there is none
	input  *os.File
}

// pair starts two runs and kills each at a moment of its own.
func (k *killer) pair(t *testing.T, round int) {
	k.b.t = t
	var victims [2]*victim
	var delays [2]time.Duration
	for i := range victims {
		victims[i] = k.start(t, round+i)
		delays[i] = time.Duration(k.rng.Int64N(int64(k.typical * 3 / 2)))
	}
	start := time.Now()
	first := 0
	if delays[1] < delays[0] {
		first = 1
	}
	for _, i := range []int{first, 1 - first} {
		time.Sleep(time.Until(start.Add(delays[i])))
		victims[i].kill(t)
	}
	killed := time.Now()
	for _, v := range victims {
		k.b.wait(v.job)
		if v.beside != nil {
			_ = v.input.Close() // what cp waits for
			k.b.wait(v.beside)
		}
	}
	goneInASecond(t, fmt.Sprintf("killed after %v", delays))
	k.longest = max(k.longest, time.Since(killed))
}

// kill kills the supervisor.
func (v *victim) kill(t *testing.T) {
	t.Helper()
	if v.mode.apart {
		_ = v.Process.Signal(unix.SIGSTOP) // it starts no supervisor meanwhile; it may have ended
		for pid := range processes() {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err == nil && pid != v.Process.Pid && strings.Contains(string(line), v.mark) {
				_ = unix.Kill(pid, unix.SIGKILL) // likewise
			}
		}
	}
	if err := v.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// start starts a run in one of the modes: one that never ends by itself, or one that is over soon.
func (k *killer) start(t *testing.T, round int) *victim {
	v := &victim{mode: killedModes[round%len(killedModes)], mark: fmt.Sprintf("killed=%d.", round)}
	script := "trap '' TERM INT HUP; setsid sleep 1000 & echo up; sleep 1000 & wait; wait"
	if round/len(killedModes)%2 == 1 && v.mode.beside == nil {
		script = "setsid sleep 1000 & echo over >/file"
	}
	name := fmt.Sprint("killed-", round)
	args := append([]string{"run", "--name", name, "--label", v.mark}, v.mode.options...)
	v.job = &job{Cmd: k.b.command(append(args, k.ref, "sh", "-c", script)...)}
	v.Stdout, v.Stderr = &v.stdout, &v.stderr
	if v.mode.ranks {
		v.Env = append(v.Env, rankOf(fmt.Sprint("killed-", round/2), round%2, 2)...)
	}
	if v.mode.prepare != nil {
		v.mode.prepare(t, v.Cmd)
	}
	if err := v.Start(); err != nil {
		t.Fatal(err)
	}
	if v.mode.beside != nil {
		k.startBeside(t, v, name)
	}
	return v
}

// startBeside starts the command that is at work on a job, once the job runs.
func (k *killer) startBeside(t *testing.T, v *victim, name string) {
	t.Helper()
	waitFor(t, "the job runs", patience, k.b.said(name, "up\n"))
	args := slices.Clone(v.mode.beside)
	for i := range args {
		args[i] = strings.Replace(args[i], "NAME", name, 1)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v.input = w
	v.beside = &job{Cmd: k.b.command(args...)}
	v.beside.Stdin, v.beside.Stdout, v.beside.Stderr = r, &v.beside.stdout, &v.beside.stderr
	if err := v.beside.Start(); err != nil {
		t.Fatal(err)
	}
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
