package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// step are the ranks of one step on one node, as Slurm would start them.
type step struct {
	*box
	ref, id, meet string
	size          int
}

// newStep is a step whose ranks meet in a directory that is /meet for them.
func newStep(b *box, ref string, size int) *step {
	b.t.Helper()
	return &step{box: b, ref: ref, id: fmt.Sprint(rand.IntN(1 << 30)), meet: b.t.TempDir(), size: size}
}

// rank starts one with the options of a run, up to the image.
func (s *step) rank(rank int, command []string, options ...string) *job {
	s.t.Helper()
	args := slices.Concat([]string{"run", "-v", s.meet + ":/meet", "-v", filepath.Dir(os.Getenv(loadProgram)) + ":/programs:ro"}, options, []string{s.ref}, command)
	j := &job{Cmd: s.command(args...)}
	j.Env = append(j.Env, rankOf(s.id, rank, s.size)...)
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if err := j.Start(); err != nil {
		s.t.Fatal(err)
	}
	return j
}

// rankOf are the variables that Slurm gives a rank of the only step of a job.
func rankOf(job string, rank, size int) []string {
	return []string{
		"SLURM_JOB_ID=" + job, "SLURM_STEP_ID=0", "SLURM_NODEID=0", "SLURMD_NODENAME=n1",
		fmt.Sprint("SLURM_PROCID=", rank), fmt.Sprint("SLURM_LOCALID=", rank), fmt.Sprint("SLURM_STEP_NUM_TASKS=", size), fmt.Sprint("SLURM_STEP_TASKS_PER_NODE=", size),
	}
}

// all starts all ranks.
func (s *step) all(command []string, options ...string) (ranks []*job) {
	s.t.Helper()
	for i := range s.size {
		ranks = append(ranks, s.rank(i, command, options...))
	}
	return ranks
}

// shell is a rank that calls up, runs something, and waits for the word to go on.
func shell(before, after string) []string {
	return []string{"sh", "-c", before + "; echo $$ >/meet/pid.$SLURM_PROCID; mv /meet/pid.$SLURM_PROCID /meet/up.$SLURM_PROCID; while [ ! -e /meet/go ]; do sleep 0.02; done; " + after}
}

// await waits for files in the meeting place.
func (s *step) await(format string, ranks ...int) {
	s.t.Helper()
	waitFor(s.t, "the ranks are up", patience, func() error {
		for _, i := range ranks {
			if _, err := os.Stat(filepath.Join(s.meet, fmt.Sprintf(format, i))); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *step) tell(name string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.meet, name), nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// containers are those that the runs of the box were in, each with how many have made it and how many were in it.
func (b *box) containers() (made map[string]int, in int) {
	b.t.Helper()
	made = map[string]int{}
	for _, id := range b.runIDs() {
		text, err := os.ReadFile(filepath.Join(b.root, "runs", id, "events.jsonl"))
		if err != nil {
			b.t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var e struct {
				Kind, Container string
				Made            bool
			}
			if err := json.Unmarshal(line, &e); err != nil || e.Kind != "shared" {
				continue
			}
			in++
			if e.Made {
				made[e.Container]++
			}
		}
	}
	return made, in
}

// TestRanksShareAContainer: eight ranks that start at once are in one container, whoever they are inside: they see each other's processes
// and /dev/shm, and may read each other's memory. Without --share none of it.
func TestRanksShareAContainer(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []string
		want    string
	}{
		{"root", []string{"--share", "node"}, "processes 8, files 8, memory 8\n"},
		{"USER 1000", []string{"--share", "node", "-u", "1000"}, "processes 8, files 8, memory 8\n"},
		{"the host's user", []string{"--share", "node", "--userns", "host-uid"}, "processes 8, files 8, memory 8\n"},
		{"each alone", nil, "processes 1, files 1, memory 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ref := busybox(t)
			adopt(t)
			s := newStep(b, ref, 8)
			for i, j := range s.all([]string{"/programs/peer", "/meet", "8"}, c.options...) {
				// Alone, each is the same number, and sees itself where the others tell it to look.
				if r := b.wait(j); r.code != 0 || c.options != nil && r.stdout != c.want || c.options == nil && !strings.Contains(r.stdout, "files 1, ") || r.stderr != "" {
					t.Errorf("rank %d: status %d, %q: %s", i, r.code, r.stdout, r.stderr)
				}
			}
			made, in := b.containers()
			if c.options == nil && in != 0 || c.options != nil && (in != 8 || len(made) != 1) {
				t.Errorf("%d ranks in containers %v", in, made)
			}
			nothingLeft(t, b)
		})
	}
}

// TestRankDies: when the supervisor of the first rank is killed, of one in the middle or of the last, all of that rank's processes go with it,
// those that have left its session and lost their parents included, and of the others none.
func TestRankDies(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	for victim := range 3 {
		t.Run(fmt.Sprint("rank ", victim), func(t *testing.T) {
			b.t = t
			s := newStep(b, ref, 3)
			// Who is left looks whether anything of the victim is there.
			command := shell(`(setsid sleep 1001.$SLURM_PROCID & (sleep 1002.$SLURM_PROCID & sleep 1003.$SLURM_PROCID) &)`,
				fmt.Sprintf(`cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" " " | grep -c "100[123][.]%d"`, victim))
			ranks := []*job{s.rank(0, command, "--share", "node")}
			s.await("up.%d", 0) // the others come later
			ranks = append(ranks, s.rank(1, command, "--share", "node"), s.rank(2, command, "--share", "node"))
			s.await("up.%d", 0, 1, 2)
			if err := ranks[victim].Process.Kill(); err != nil {
				t.Fatal(err)
			}
			b.wait(ranks[victim])
			waitFor(t, "the victim's processes are gone", patience, func() error {
				return noneWith(fmt.Sprint(".", victim), "1001", "1002", "1003")
			})
			s.tell("go")
			for i, j := range ranks {
				if i == victim {
					continue
				}
				if r := b.wait(j); r.stdout != "0\n" || r.stderr != "" {
					t.Errorf("rank %d: status %d, %q: %s", i, r.code, r.stdout, r.stderr)
				}
			}
			b.ok("runs", "--quiet") // any command removes what the killed one left
			nothingLeft(t, b)
		})
	}
}

// noneWith is an error when a descendant's argument is one of these with an ending.
func noneWith(ending string, names ...string) error {
	all := processes()
	for pid, p := range all {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || p.state == "Z" || !below(pid, os.Getpid(), all) {
			continue
		}
		for _, name := range names {
			if strings.Contains(string(text), "\x00"+name+ending+"\x00") && strings.HasPrefix(string(text), "sleep") {
				return fmt.Errorf("%d %q", pid, text)
			}
		}
	}
	return nil
}

// TestRankEnds: what a rank has left running ends with it, and not what others have; the last one takes the writable layer along.
func TestRankEnds(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	s := newStep(b, ref, 2)
	first := s.rank(0, []string{"sh", "-c", `echo kept >/file; (setsid sleep 1001.0 &); : >/meet/up.0; while [ ! -e /meet/up.1 ]; do sleep 0.02; done; exit 3`}, "--share", "node")
	s.await("up.%d", 0)
	second := s.rank(1, shell("cat /file; (setsid sleep 1001.1 &)", `exit 4`), "--share", "node")
	if r := b.wait(first); r.code != 3 {
		t.Errorf("the first: %+v", r)
	}
	if err := noneWith(".0", "1001"); err != nil {
		t.Errorf("after its end: %v", err)
	}
	if err := noneWith(".1", "1001"); err == nil {
		t.Error("it took along what is the other's")
	}
	s.tell("go")
	if r := b.wait(second); r.code != 4 || r.stdout != "kept\n" {
		t.Errorf("the second: %+v", r)
	}
	nothingLeft(t, b)
	// Outside of a step there is nobody to share with.
	for _, id := range b.runIDs() {
		if b.record(id).ExitCode != nil && *b.record(id).ExitCode == 4 {
			if r := b.do("rerun", id, "--", "true"); r.code != 0 || !strings.Contains(r.stderr, "the container of --share node, which the run had together with other ranks: it has one of its own") {
				t.Errorf("rerun: %+v", r)
			}
		}
	}
	nothingLeft(t, b)
}

// TestRankKillsInit: a rank may kill what runs for another, as any process of its user may. The other rank has then ended, its record says so, and
// nothing of it is left.
func TestRankKillsInit(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	s := newStep(b, ref, 2)
	victim := s.rank(0, shell(`(setsid sleep 1001.0 &); trap "" TERM`, ":"), "--share", "node")
	s.await("up.%d", 0)
	other := s.rank(1, shell(`kill -9 $(sed "s/.*) . \([0-9]*\).*/\1/" /proc/$(cat /meet/up.0)/stat)`, "exit 5"), "--share", "node")
	if r := b.wait(victim); r.code != 137 {
		t.Errorf("the victim: %+v", r)
	}
	if err := noneWith(".0", "1001"); err != nil {
		t.Error(err)
	}
	s.await("up.%d", 1)
	s.tell("go")
	if r := b.wait(other); r.code != 5 {
		t.Errorf("the other: %+v", r)
	}
	nothingLeft(t, b)
}

// TestRanksKilledStarting: whichever supervisors are killed and when, from their first instant on, the other ranks run; and when all are
// killed, nothing is left.
func TestRanksKilledStarting(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	rounds, size := 12, 4
	if tortured() {
		rounds = 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	typical := b.typicalRun(ref)
	for round := range rounds {
		s := newStep(b, ref, size)
		victims := 1 + rng.IntN(size)
		if round%3 == 0 {
			victims = size
		}
		start := time.Now()
		ranks := s.all([]string{"sh", "-c", "(setsid sleep 1001.0 &); echo fine"}, "--share", "node")
		when := time.Duration(rng.Int64N(int64(2 * typical)))
		for i := range victims {
			time.Sleep(time.Until(start.Add(when + time.Duration(rng.Int64N(int64(typical/4))))))
			_ = ranks[i].Process.Signal(syscall.SIGKILL) // it may have ended
		}
		for i, j := range ranks {
			if r := b.wait(j); i >= victims && (r.code != 0 || r.stdout != "fine\n") {
				t.Errorf("round %d, %d killed after %v: rank %d: status %d, %q: %s", round, victims, when, i, r.code, r.stdout, r.stderr)
			}
		}
		goneInASecond(t, fmt.Sprintf("round %d, %d killed after %v", round, victims, when))
		if t.Failed() {
			return
		}
	}
	b.ok("runs", "--quiet") // any command would do
	nothingLeft(t, b)
}

// TestSharingIsRefused: a rank that asks for another container than the others of its step have says what is different; what one container
// cannot be for several is told before anything runs.
func TestSharingIsRefused(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	s := newStep(b, ref, 3)
	first := s.rank(0, shell(":", ":"), "--share", "node")
	s.await("up.%d", 0)
	for _, c := range []struct {
		options []string
		want    string
	}{
		{[]string{"--read-only"}, "container cannot be shared: the read-only root of this rank's container would be true, and what it is to share with the others of Slurm"},
		{[]string{"--tmpfs", "/scratch"}, "container cannot be shared: the mounts of this rank's container would be bind "},
		{[]string{"-u", "1000"}, "container cannot be shared: the USER of this rank's container would be 1000"},
		{[]string{"--init=false"}, "--share node with --init=false: that would be for one rank alone"},
		{[]string{"-t"}, "--share node with --tty"},
		{[]string{"--network", "private"}, "--share node with --network private"},
		{[]string{"--cap-add", "SYS_ADMIN"}, "--share node with --cap-add SYS_ADMIN"},
		{[]string{"--userns", "subuid"}, "--share node with --userns subuid"},
	} {
		r := b.wait(s.rank(1, []string{"true"}, append([]string{"--share", "node"}, c.options...)...))
		if r.code != 125 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%v: status %d: %s", c.options, r.code, r.stderr)
		}
	}
	if r := b.do("run", "--share", "node", ref, "true"); r.code != 125 || !strings.Contains(r.stderr, "start it with srun") {
		t.Errorf("outside of a step: status %d: %s", r.code, r.stderr)
	}
	if r := b.do("run", "--share", "job", ref, "true"); r.code != 125 || !strings.Contains(r.stderr, `--share is node, not "job"`) {
		t.Errorf("--share job: status %d: %s", r.code, r.stderr)
	}
	s.tell("go")
	if r := b.wait(first); r.code != 0 {
		t.Errorf("the first: %+v", r)
	}
	nothingLeft(t, b)
}
