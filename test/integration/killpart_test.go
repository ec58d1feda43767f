package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// loss is one of a run's processes other than its supervisor that is killed.
type loss struct {
	name    string
	options []string
	ranks   bool                                  // two runs are in one container
	prepare func(t *testing.T, j *exec.Cmd)       // gives it its standard input; nil: none is given
	whom    func(j *job, pid int, p process) bool // is killed
	causes  []string                              // for which the run may end, beside its own end
	goesOn  string                                // the name of a run that may go on
}

func theKeeper(_ *job, _ int, p process) bool    { return p.name == "coracle-keeper" }
func theInit(_ *job, _ int, p process) bool      { return p.name == "coracle-init" }
func theCommand(j *job, pid int, _ process) bool { return j.Process.Pid == pid }

var losses = []loss{
	{name: "the keeper", whom: theKeeper, causes: []string{"signalled", "start-failure"}},
	{name: "the keeper, and the job is PID 1", options: []string{"--init=false"}, whom: theKeeper, causes: []string{"signalled", "start-failure"}},
	{name: "the init", whom: theInit, causes: []string{"signalled", "start-failure"}},
	{name: "the keeper of two ranks", ranks: true, whom: theKeeper, causes: []string{"signalled", "start-failure"}},
	{name: "the inits of two ranks", ranks: true, whom: theInit, causes: []string{"signalled", "start-failure"}},
	{name: "the front of a terminal", options: []string{"-it"}, whom: theCommand, causes: []string{"stopped"}, prepare: func(t *testing.T, j *exec.Cmd) {
		p := newTerminal(t, 24, 80)
		j.Stdin, j.Stdout, j.Stderr = p.slave, p.slave, p.slave
	}},
	{name: "the front of a detached run", options: []string{"-d", "--timeout", "5m"}, whom: theCommand, causes: []string{"stopped"}, goesOn: "last"},
}

// TestKilledParts kills at random moments what a run consists of beside its supervisor. The run ends and says of what; only one that is
// detached has no need of the process that began it. Nothing is left.
func TestKilledParts(t *testing.T) {
	k, rounds := newKiller(t, 2, 10)
	b := k.b
	b.ok("runs", "prune", "--force")
	for _, l := range losses {
		t.Run(l.name, func(t *testing.T) {
			b.t = t
			for round := range rounds {
				k.lose(t, l, round)
			}
			t.Logf("they ended so: %v", b.forgetRuns(append(l.causes, "exited")...))
			nothingLeft(t, b)
		})
	}
}

// lose starts a run, or two, and kills one of its processes at some moment from the first on.
func (k *killer) lose(t *testing.T, l loss, round int) {
	t.Helper()
	jobs := k.begin(t, l, round)
	delay := time.Duration(k.rng.Int64N(int64(k.typical * 3 / 2)))
	time.Sleep(delay)
	strike(jobs, l.whom)
	for _, j := range jobs {
		if r := k.b.wait(j); r.code == 125 && !strings.Contains(r.stderr, "coracle: run: cannot start the container: ") {
			t.Errorf("killed after %v: %q", delay, r.stderr)
		}
	}
	k.nothingRuns(l.goesOn)
}

// nothingRuns waits until all processes have ended. A run that may go on is killed.
func (k *killer) nothingRuns(run string) {
	k.b.t.Helper()
	waitFor(k.b.t, "all have ended", patience, func() error {
		left := descendants()
		if len(left) == 0 {
			return nil
		}
		if run != "" {
			k.b.do("kill", run)
		}
		return fmt.Errorf("there are %q", left)
	})
}

// begin starts them. Ranks end by themselves, for who makes another container, since its first keeper was killed, goes on.
func (k *killer) begin(t *testing.T, l loss, round int) (jobs []*job) {
	t.Helper()
	script := "setsid sleep 1000 & sleep 1000"
	if round%2 == 1 || l.ranks {
		script = "setsid sleep 1000 & sleep 0.2"
	}
	command := []string{"sh", "-c", script}
	if l.ranks {
		return newStep(k.b, k.ref, 2).all(command, "--share", "node")
	}
	j := &job{Cmd: k.b.command(slices.Concat([]string{"run"}, l.options, []string{k.ref}, command)...)}
	j.WaitDelay = time.Minute // what has lost its front has its output for a while
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if l.prepare != nil {
		l.prepare(t, j.Cmd)
	}
	if err := j.Start(); err != nil {
		t.Fatal(err)
	}
	return []*job{j}
}

// strike kills those of the processes that are meant, as soon as there is one, unless the commands have ended before.
func strike(commands []*job, whom func(j *job, pid int, p process) bool) {
	for {
		all := processes()
		struck, over := false, true
		for pid, p := range all {
			if p.state == "Z" || !below(pid, os.Getpid(), all) {
				continue
			}
			over = over && !slices.ContainsFunc(commands, func(j *job) bool { return j.Process.Pid == pid })
			if whom(commands[0], pid, p) {
				struck = unix.Kill(pid, unix.SIGKILL) == nil || struck
			}
		}
		if struck || over {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// forgetRuns counts the causes of the runs of the box, which have all ended for one of these, and removes their records.
func (b *box) forgetRuns(causes ...string) (ends map[string]int) {
	b.t.Helper()
	ends = map[string]int{}
	for _, r := range b.records() {
		ends[r.Cause]++
		if !slices.Contains(causes, r.Cause) || (r.Cause == "lost") != (r.ExitCode == nil) || r.Cause == "exited" && *r.ExitCode != 0 {
			b.t.Errorf("run %s: state %q, cause %q, status %v", r.ID, r.State, r.Cause, r.ExitCode)
		}
	}
	b.ok("runs", "prune", "--force")
	if left := b.runIDs(); len(left) > 0 {
		b.t.Errorf("there are %q", left)
	}
	b.noStrays()
	return ends
}

// noStrays fails the test when a command has left anything where others are made, once another has looked there.
func (b *box) noStrays() {
	b.t.Helper()
	b.ok("gc")
	for _, dir := range []string{"tmp", "upper"} {
		entries, err := os.ReadDir(filepath.Join(b.root, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			b.t.Error(err)
		}
		for _, e := range entries {
			b.t.Errorf("%s is left", filepath.Join(dir, e.Name()))
		}
	}
}
