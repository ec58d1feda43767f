package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cutOff is a command at work on a run that is killed. The run is "it".
type cutOff struct {
	name   string
	before func(k *killer)
	args   []string
	whom   func(j *job, pid int, p process) bool // is killed
	after  func(k *killer)                       // the run goes on, and what the command has not finished can be done again
}

var cutOffs = []cutOff{
	{"exec", nothing, []string{"exec", "it", "sh", "-c", "trap '' TERM HUP; setsid sleep 1000 & sleep 1000"}, theCommand, goesOn},
	{"what exec runs", nothing, []string{"exec", "it", "sleep", "1000"}, theHelper, goesOn},
	{"attach", nothing, []string{"attach", "--no-stdin", "it"}, theCommand, goesOn},
	{"pause", nothing, []string{"pause", "it"}, theCommand, unpaused},
	{"unpause", func(k *killer) { k.b.ok("pause", "it") }, []string{"unpause", "it"}, theCommand, unpaused},
	{"rename", nothing, []string{"rename", "it", "other"}, theCommand, func(k *killer) {
		k.b.ok("rename", "last", "other")
		k.b.ok("rename", "other", "it")
		goesOn(k)
	}},
	{"cp to it", bigFile, []string{"cp", "big", "it:/into/big"}, theCommand, func(k *killer) {
		if got := k.b.ok("exec", "it", "sh", "-c", "cd /into && if test -e big; then wc -c <big; fi"); got != "" && got != fmt.Sprint(bigSize) {
			k.b.t.Errorf("%s of %d bytes were copied", got, bigSize)
		}
		k.b.ok("cp", "big", "it:/into/big")
	}},
	{"cp from it", func(k *killer) {
		bigFile(k)
		k.b.ok("cp", "big", "it:/into/big")
	}, []string{"cp", "it:/into/big", "to/big"}, theCommand, copiedWhole},
	{"stop", nothing, []string{"stop", "it"}, theCommand, nothing},
	{"stop, with a time", nothing, []string{"stop", "-t", "60", "it"}, theCommand, nothing},
	{"kill", nothing, []string{"kill", "it"}, theCommand, nothing},
	{"gc", killedRun, []string{"gc"}, theCommand, goesOn},
	{"runs rm", endedRun, []string{"runs", "rm", "last"}, theCommand, goesOn},
	{"runs prune", endedRun, []string{"runs", "prune", "--force"}, theCommand, goesOn},
}

// theHelper is what the keeper has started for exec.
func theHelper(_ *job, _ int, p process) bool {
	return p.name != "coracle-init" && processes()[p.parent].name == "coracle-keeper"
}

func nothing(*killer) {}

func goesOn(k *killer) { k.b.ok("exec", "it", "true") }

func unpaused(k *killer) {
	k.b.do("unpause", "it") // it may not be paused
	goesOn(k)
}

const bigSize = 8 << 20

// bigFile makes a file that takes a while to copy, and an empty directory for it.
func bigFile(k *killer) {
	k.b.t.Helper()
	if err := os.RemoveAll(filepath.Join(k.b.wd, "to")); err != nil {
		k.b.t.Fatal(err)
	}
	k.b.dir("to")
	k.b.file("big", string(bytes.Repeat([]byte("0123456789abcdef"), bigSize/16)))
}

func copiedWhole(k *killer) {
	k.b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(k.b.wd, "to"))
	if err != nil || len(entries) > 1 {
		k.b.t.Errorf("there are %v, %v", entries, err)
	}
	if k.b.has("to/big") && k.b.read("to/big") != k.b.read("big") {
		k.b.t.Error("a part was copied")
	}
	k.b.ok("cp", "it:/into/big", "to/big")
}

// killedRun is one that leaves something.
func killedRun(k *killer) {
	k.b.t.Helper()
	j := k.b.startJob(k.ref, "echo up; sleep 1000")
	j.signal(k.b.t, unix.SIGKILL)
	k.b.wait(j)
}

func endedRun(k *killer) { k.b.ok("run", k.ref, "true") }

// TestKilledCommands kills at random moments commands that are at work on a run. The run goes on, or ends as it was asked to; what they
// have left half done the next command finishes, or it can be done again.
func TestKilledCommands(t *testing.T) {
	k, rounds := newKiller(t, 2, 10)
	b := k.b
	b.ok("runs", "prune", "--force")
	for _, c := range cutOffs {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			for range rounds {
				k.cut(t, c)
			}
			t.Logf("the runs ended so: %v", b.forgetRuns("stopped", "exited", "lost"))
			nothingLeft(t, b)
		})
	}
}

// cut has a run, starts the command, and kills it.
func (k *killer) cut(t *testing.T, c cutOff) {
	t.Helper()
	run := k.b.startJob(k.ref, "mkdir /into; echo up; sleep 1000 & wait", "--name", "it")
	c.before(k)
	command := &job{Cmd: k.b.command(c.args...)} // with no output that what it starts could hold
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(k.rng.Int64N(int64(k.typical / 2))))
	strike([]*job{command}, c.whom)
	k.b.wait(command)
	c.after(k)
	k.b.do("kill", "it") // it may have ended
	if r := k.b.wait(run); r.code != 128+int(unix.SIGTERM) && r.code != 128+int(unix.SIGKILL) {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
	k.nothingRuns("")
}
