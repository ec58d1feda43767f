package integration_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Jobs that have the store among their volumes, and may write to it. What is in it they can change; by it they get neither at the host's
// files nor at what is told to others.

// canaries is a directory of the host that no job has, with the names that a store's directories have.
func (b *box) canaries() (dir string, check func()) {
	b.t.Helper()
	for _, name := range []string{"fs/secret", "work/secret", "extra/secret"} {
		b.file("canary/"+name, "canary\n")
	}
	dir = filepath.Join(b.wd, "canary")
	return dir, func() {
		b.t.Helper()
		for _, name := range []string{"fs", "work", "extra"} {
			entries, err := os.ReadDir(filepath.Join(dir, name))
			raw, readErr := os.ReadFile(filepath.Join(dir, name, "secret"))
			if err != nil || readErr != nil || len(entries) != 1 || string(raw) != "canary\n" {
				b.t.Errorf("%s: %v %q, %v, %v", name, entries, raw, err, readErr)
			}
		}
	}
}

// TestJobLinksItsWritableLayerAway: where a link is in the place of a job's writable layer, nothing is removed behind it when the job is
// started again, and nothing of it is mounted.
func TestJobLinksItsWritableLayerAway(t *testing.T) {
	for _, tc := range []struct{ name, script string }{
		{"the whole", `cd /store/upper; for d in [0-9A-Z]*; do mv $d ../tmp/away; ln -s "$1" $d; done`},
		{"the files", `cd /store/upper; for d in [0-9A-Z]*; do mv $d/fs $d/away; ln -s "$1/fs" $d/fs; done`},
		{"what overlayfs has", `cd /store/upper; for d in [0-9A-Z]*; do mv $d/work $d/away; ln -s "$1/work" $d/work; done`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, ref := busybox(t)
			canary, check := b.canaries()
			r := b.do("run", "--restart", "on-failure:1", "-v", b.root+":/store", ref, "sh", "-c", "cat /secret; "+tc.script+"; exit 3", "sh", canary)
			if strings.Contains(r.stdout, "canary\n") {
				t.Errorf("the job has read it: %s", r.stdout)
			}
			check()
			b.ok("runs", "--quiet")
			check()
		})
	}
}

// TestJobLinksAKeptLayerAway: the next run that names the layer gets nothing of what a link leads to.
func TestJobLinksAKeptLayerAway(t *testing.T) {
	for _, tc := range []struct{ name, script string }{
		{"the files", `cd /store/kept/mine; mv fs away; ln -s "$1/fs" fs`},
		{"the whole", `cd /store/kept; mv mine ../away; ln -s ../away mine; rm -rf ../away/fs; ln -s "$1/fs" ../away/fs`},
		{"what overlayfs has", `cd /store/kept/mine; mv work away; ln -s "$1/work" work`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, ref := busybox(t)
			canary, check := b.canaries()
			b.ok("run", "--upper", "keep:mine", "-v", b.root+":/store", ref, "sh", "-c", tc.script, "sh", canary)
			r := b.do("run", "--upper", "keep:mine", ref, "sh", "-c", "cat /secret; echo written >/written")
			if strings.Contains(r.stdout, "canary") {
				t.Errorf("the job has read it: %+v", r)
			}
			check()
			b.do("upper", "rm", "mine")
			check()
		})
	}
}

// TestJobLinksTheStoresDirectoriesAway: nothing is removed from where they lead, and the next command says what is in the way.
func TestJobLinksTheStoresDirectoriesAway(t *testing.T) {
	b, ref := busybox(t)
	for _, name := range []string{"upper", "retired", "locks"} {
		home := filepath.Join(b.wd, "home-"+name)
		if err := errors.Join(os.MkdirAll(filepath.Join(home, "thesis"), 0o700), os.WriteFile(filepath.Join(home, "key"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(b.root, name)
		b.do("run", "-v", b.root+":/store", ref, "sh", "-c", `cd /store; mv $1 away; ln -s "$2" $1`, "sh", name, home)
		if r := b.do("images"); r.code != 125 || !strings.Contains(r.stderr, dir+" is a symbolic link") {
			t.Errorf("%s: %+v", name, r)
		}
		if entries, err := os.ReadDir(home); err != nil || len(entries) != 2 {
			t.Errorf("%s: left %v, %v", name, entries, err)
		}
		if err := errors.Join(os.Remove(dir), os.Rename(filepath.Join(b.root, "away"), dir)); err != nil {
			t.Fatal(err)
		}
	}
	b.ok("images")
}

// TestJobLeavesPipesInTheStore: no command waits for somebody who writes to them.
func TestJobLeavesPipesInTheStore(t *testing.T) {
	b, ref := busybox(t)
	b.ok("run", "--name", "before", "--upper", "keep:mine", ref, "true")
	b.ok("run", "-v", b.root+":/store", ref, "sh", "-c", `
		cd /store
		mkdir upper/evil; mkfifo upper/evil/lease.json
		for f in runs/*/run.json runs/*/result.json runs/*/output.log runs/*/mounts.json kept/mine/holder.json kept/mine/kept.json; do
			test "$(basename $(dirname $f))" = "$(ls runs | tail -n 1)" || { rm -f $f; mkfifo $f; }
		done`)
	for _, args := range [][]string{{"ps", "-a"}, {"runs"}, {"logs", "before"}, {"gc"}, {"df"}, {"upper", "ls"}, {"run", "--upper", "keep:mine", ref, "true"}, {"rename", "before", "after"}} {
		start := time.Now()
		b.do(args...) // which fails the test if it does not end
		t.Logf("%v: %v", args, time.Since(start))
	}
	if err := syscall.Unlink(filepath.Join(b.root, "upper", "evil", "lease.json")); err != nil {
		t.Error(err)
	}
	for _, pattern := range []string{"runs/*/*", "kept/mine/*"} { // what looks at the records when the test has ended waits for pipes
		names, err := filepath.Glob(filepath.Join(b.root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
				if err := os.RemoveAll(filepath.Dir(name)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestRunningJobLeavesPipesInTheStore: no command waits for somebody who writes to them, or who reads what it adds to a file.
func TestRunningJobLeavesPipesInTheStore(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	j := b.startJob(ref, `cd /store && for f in runs/$(ls runs | tail -n 1)/restarting runs/$(ls runs | tail -n 1)/watched runs/$(ls runs | tail -n 1)/notes.jsonl \
		layers/removals $(ls layer-roots/*); do rm -f $f; mkfifo $f; done; echo up; exec sleep 600`, "--name", "going", "-v", b.root+":/store")
	for _, args := range [][]string{{"ps"}, {"runs"}, {"inspect", "going"}, {"note", "going", "a word"}, {"stats", "--json", "going"}, {"images"}, {"prune", "-a", "-f"}, {"gc"}, {"stop", "-t", "1", "going"}} {
		start := time.Now()
		r := b.do(args...) // which fails the test if it does not end
		t.Logf("%v: %v, %d %s", args, time.Since(start), r.code, r.stderr)
	}
	b.wait(j)
	pipes, err := filepath.Glob(filepath.Join(b.root, "runs", "*", "notes.jsonl"))
	for _, pipe := range append(pipes, filepath.Join(b.root, "layers", "removals")) {
		err = errors.Join(err, os.Remove(pipe))
	}
	if err != nil {
		t.Error(err)
	}
}

// TestJobPosesAsKeeper: a rank tells nothing to a job that listens where the keeper of its container would, and executes nothing that it
// sends. And a job that knocks at a shared container gets nothing of it.
func TestJobPosesAsKeeper(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	s := newStep(b, ref, 2)
	first := s.rank(0, shell(":", ":"), "--share", "node")
	s.await("up.%d", 0)
	lines, err := filepath.Glob(filepath.Join(b.root, "upper", "share-*", "line"))
	if err != nil || len(lines) != 1 {
		t.Fatalf("the lines to the container: %v, %v", lines, err)
	}
	line := "/store/upper/" + filepath.Base(filepath.Dir(lines[0])) + "/line"
	with := []string{"run", "-v", b.root + ":/store", "-v", s.meet + ":/meet", "-v", filepath.Dir(os.Getenv(loadProgram)) + ":/programs:ro", ref}
	if got := b.ok(append(with, "/programs/impostor", "knock", line)...); got != "nothing" {
		t.Errorf("who knocks gets %s", got)
	}
	s.tell("go")
	if r := b.wait(first); r.code != 0 {
		t.Errorf("the first: %+v", r)
	}
	const pose = `mkdir $(dirname $1) && cp $(ls /store/upper/*/lease.json | head -n 1) $(dirname $1)/ && exec /programs/impostor listen $1 /meet/listening`
	job := b.start(append(with, "sh", "-c", pose, "sh", line)...)
	waitFor(t, "the impostor listens", patience, func() error {
		_, err := os.Stat(filepath.Join(s.meet, "listening"))
		return err
	})
	r := b.wait(s.rank(1, []string{"true"}, "--share", "node"))
	if r.code != 125 || !strings.Contains(r.stderr, "somebody else answers in place of its keeper") {
		t.Errorf("the rank: %+v", r)
	}
	if err := job.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := b.wait(job); r.stdout != "nothing\n" {
		t.Errorf("the impostor got %s: %s", r.stdout, r.stderr)
	}
	b.ok("runs", "--quiet") // any command removes what is nobody's
	nothingLeft(t, b)
}
