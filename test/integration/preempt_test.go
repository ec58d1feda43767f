package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPreemptedTraining: a training in Python, by itself, under a shell, under a launcher with workers, or as PID 1 without a handler, is asked to
// end by a batch system. Whoever can save its work hears of it once and has its time; what takes no notice is killed when that is over.
func TestPreemptedTraining(t *testing.T) {
	image := learningImage(t)
	adopt(t)
	b := newBoxAt(t, image.root)
	program, err := os.ReadFile("testdata/preempt.py")
	if err != nil {
		t.Fatal(err)
	}
	b.file("data/preempt.py", string(program))
	t.Setenv("SLURM_JOB_ID", "42")
	const py = "python3 /data/preempt.py "
	shell := func(script string) []string { return []string{"sh", "-c", script} }
	workers := []string{"worker0", "worker1", "worker2"}
	for _, c := range []struct {
		name    string
		options []string
		argv    []string
		up      []string
		send    syscall.Signal
		all     bool // to all processes, as Slurm does with those of a step

		code  int
		cause string
		got   map[string]string // what each has heard
	}{
		{"python, warned", []string{"--checkpoint-signal", "USR1"}, strings.Fields(py + "train job USR1 TERM"), []string{"job"}, unix.SIGUSR1, false,
			75, "preempted", map[string]string{"job": "SIGUSR1"}},
		{"python, asked to end", []string{"--checkpoint-signal", "USR1"}, strings.Fields(py + "train job USR1"), []string{"job"}, unix.SIGTERM, false,
			75, "preempted", map[string]string{"job": "SIGUSR1"}},
		{"python, warned with all others", []string{"--checkpoint-signal", "USR1"}, strings.Fields(py + "train job USR1"), []string{"job"}, unix.SIGUSR1, true,
			75, "preempted", map[string]string{"job": "SIGUSR1"}},
		{"python, asked to end with all others", []string{"--checkpoint-signal", "TERM"}, strings.Fields(py + "train job TERM"), []string{"job"}, unix.SIGTERM, true,
			75, "preempted", map[string]string{"job": "SIGTERM"}},
		{"a shell", []string{"--checkpoint-signal", "USR1"}, shell(py + "train job USR1; exit $?"), []string{"job"}, unix.SIGTERM, false,
			75, "preempted", map[string]string{"job": "SIGUSR1"}},
		{"a shell that waits, all of them", []string{"--checkpoint-signal", "USR1"}, shell("trap : USR1; " + py + "train job USR1 & wait; wait"), []string{"job"}, unix.SIGUSR1, true,
			75, "preempted", map[string]string{"job": "SIGUSR1"}},
		{"a launcher, its workers asked", []string{"--checkpoint-signal", "USR1"}, strings.Fields(py + "launch 3 USR1"), append(workers, "launcher"), unix.SIGTERM, false,
			75, "preempted", map[string]string{"worker0": "SIGUSR1", "worker1": "SIGUSR1", "worker2": "SIGUSR1"}},
		{"a launcher that hands it on", nil, strings.Fields(py + "launch 3 TERM"), append(workers, "launcher"), unix.SIGTERM, false,
			0, "stopped", map[string]string{"launcher": "SIGTERM", "worker0": "SIGTERM", "worker1": "SIGTERM", "worker2": "SIGTERM"}},
		{"PID 1 without a handler", []string{"--init=false", "--checkpoint-signal", "USR1", "--stop-timeout", "500ms"}, strings.Fields(py + "deaf"), []string{"deaf"}, unix.SIGTERM, true,
			137, "stopped", nil},
		{"PID 1 with one", []string{"--init=false", "--checkpoint-signal", "USR1"}, strings.Fields(py + "train job USR1"), []string{"job"}, unix.SIGUSR1, true,
			75, "preempted", map[string]string{"job": "SIGUSR1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			if err := os.RemoveAll(filepath.Join(b.wd, "out")); err != nil {
				t.Fatal(err)
			}
			b.dir("out")
			options := append([]string{"run", "-v", b.wd + "/data:/data:ro", "-v", b.wd + "/out:/out", "--exit-code", "preempted=75"}, c.options...)
			j := b.start(append(append(options, image.ref), c.argv...)...)
			for _, name := range c.up {
				b.awaitFile(j, "out/"+name+".up")
			}
			signalTo(t, everyProcess(j, c.all), c.send)
			r := b.wait(j)
			var got checkpoint
			if err := json.Unmarshal([]byte(b.ok("runs", "show", "last", "--json")), &got); err != nil {
				t.Fatal(err)
			}
			if r.code != c.code || got.Cause != c.cause {
				t.Errorf("status %d, cause %s, want %d, %s: %s", r.code, got.Cause, c.code, c.cause, r.stderr)
			}
			b.compareHeard(c.up, c.got)
			if c.cause == "preempted" {
				compareSaved(t, got, c.got, c.all)
			}
			nothingLeft(t, b)
		})
	}
}

// compareHeard holds that each has heard what it should, once.
func (b *box) compareHeard(names []string, want map[string]string) {
	b.t.Helper()
	for _, name := range names {
		text, _ := os.ReadFile(filepath.Join(b.wd, "out", name+".got")) // one that is not there is empty
		if heard := strings.Join(strings.Fields(string(text)), " "); heard != want[name] {
			b.t.Errorf("%s has heard %q, want %q", name, heard, want[name])
		}
	}
}

// compareSaved holds that the record has who was asked and what was saved. Who has got a signal that came to all, and has ended before its
// supervisor looked, is nobody's target.
func compareSaved(t *testing.T, got checkpoint, want map[string]string, all bool) {
	t.Helper()
	if got.Checkpoint == nil {
		t.Fatalf("%+v", got)
	}
	var files []string
	for _, f := range got.Checkpoint.Files {
		files = append(files, filepath.Base(f.Path))
	}
	for name := range want {
		if !slices.Contains(files, name+".state") {
			t.Errorf("the record has not that %s has saved its work: %q", name, files)
		}
	}
	if !all && len(got.Checkpoint.Targets) != len(want) || got.Checkpoint.Forced != "" {
		t.Errorf("%+v", got.Checkpoint)
	}
}
