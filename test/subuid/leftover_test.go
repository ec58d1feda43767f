package subuid_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/test/fixture"
)

// litter makes files of several users, in directories that are closed to the caller, the root directory given away.
const litter = `mkdir -p /d/e /w/x && echo x >/d/e/f && echo y >/w/x/g && mkfifo /d/p && ln -s f /d/e/l && ln /d/e/f /w/h &&
	chmod 700 /d /d/e /w /w/x && chown -R 999:101 /d && chown -R 1000:1000 /w/x && rm -rf /var/lib/db && chown 65536:65536 /`

func TestNothingIsLeftOfARun(t *testing.T) {
	b, ref := database(t)
	for _, user := range []string{"root", "db"} {
		b.run(ref, map[string]string{"root": litter, "db": "mkdir -p $HOME/a/b && chmod 0 $HOME/a && echo done"}[user], "-u", user)
		b.empty("upper", "tmp")
	}
	b.ok("rmi", ref)
	b.empty("layers/sha256", "tmp", "retired")
}

// TestFilesOfOthersAreNoTrouble: the commands that look at the store cope with trees that are closed to the caller.
func TestFilesOfOthersAreNoTrouble(t *testing.T) {
	b, ref := database(t)
	b.run(ref, "true")
	marker, r := b.start("run", "--userns", "subuid", "-v", b.wd+":/out", ref, "sh", "-c", litter+" && : >/out/up && exec sleep 600")
	b.await("the job is up", func() error { _, err := os.Stat(filepath.Join(b.wd, "up")); return err })
	if r := b.do("check"); r.code != 0 {
		t.Errorf("check: status %d, %s%s", r.code, r.stdout, r.stderr)
	}
	var usage struct {
		Uppers []struct{ Partial bool }
	}
	if err := json.Unmarshal([]byte(b.ok("df", "--json")), &usage); err != nil || len(usage.Uppers) != 1 || !usage.Uppers[0].Partial {
		t.Errorf("df: %+v, %v: a part that is closed is not counted, which it must say", usage, err)
	}
	if r := b.do("rmi", ref); r.code != 125 || !strings.Contains(r.stderr, "in use") {
		t.Errorf("rmi of an image in use: status %d, %s", r.code, r.stderr)
	}
	b.ok("prune", "--all", "--force")
	if err := marker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := b.wait(marker, r); got.code != 143 {
		t.Errorf("status %d: %s", got.code, got.stderr)
	}
	b.empty("upper", "tmp")
	b.run(ref, "cat /var/lib/db/seed")
}

// TestOthersProcessesEnd: PID 1 ends processes of whatever user, those that will not end included.
func TestOthersProcessesEnd(t *testing.T) {
	b, ref := database(t)
	mark := fmt.Sprint(100000 + rand.IntN(1<<30))
	script := `busybox su -s /bin/sh db -c "trap '' TERM; setsid sleep ` + mark + ` & sleep ` + mark + `" & trap '' TERM; : >/out/up; sleep ` + mark + `; wait`
	cmd, r := b.start("run", "--userns", "subuid", "--stop-timeout", "1s", "-v", b.wd+":/out", ref, "sh", "-c", script)
	b.await("three sleep", func() error { return b.sleepers(mark, 3) })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := b.wait(cmd, r); got.code != 137 {
		t.Errorf("status %d: %s", got.code, got.stderr)
	}
	b.await("none sleeps", func() error { return b.sleepers(mark, 0) })
	// The job's own end is the end of all, too.
	script = `busybox su -s /bin/sh db -c "trap '' TERM; setsid sleep ` + mark + ` & exit"; exit 3`
	if got := b.do("run", "--userns", "subuid", ref, "sh", "-c", script); got.code != 3 {
		t.Errorf("status %d: %s", got.code, got.stderr)
	}
	b.await("none sleeps", func() error { return b.sleepers(mark, 0) })
}

// TestTreesForOtherUsersLast: what a run makes of layers for its users is settled behind it, and so is there after a restart.
func TestTreesForOtherUsersLast(t *testing.T) {
	t.Setenv("CORACLE_NO_SETTLE", "")
	b, ref := database(t)
	b.run(ref, "true")
	b.await("the trees are on the disk", func() error {
		made, err := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/subuid-*"))
		if len(made) == 0 {
			return errors.Join(errors.New("there is none"), err)
		}
		for _, dir := range made {
			_, statErr := os.Stat(filepath.Join(dir, "synced"))
			err = errors.Join(err, statErr)
		}
		return err
	})
}

// TestWithoutInit: with --init=false the job is process 1 among several users, too: it is who the image says, with root's powers over
// the others, hears signals, and leaves nothing.
func TestWithoutInit(t *testing.T) {
	b, ref := database(t)
	const script = `echo $$ $(id -u); grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status`
	for _, user := range []string{"root", "db"} {
		id := map[string]string{"root": "1 0", "db": "1 999"}[user]
		with := b.run(ref, script, "-u", user)
		without := b.run(ref, script, "-u", user, "--init=false")
		_, facts, _ := strings.Cut(with, "\n")
		if without != id+"\n"+facts {
			t.Errorf("%s: %q, with init %q", user, without, with)
		}
	}
	if got := b.run(ref, `busybox su -s /bin/sh db -c 'id -u; echo x >/tmp/f'; stat -c %u /tmp/f; sleep 1000 & setsid sleep 1000 &`, "--init=false"); got != "999\n999" {
		t.Errorf("%q", got)
	}
	cmd, r := b.start("run", "--userns", "subuid", "--init=false", "-v", b.wd+":/out", ref, "sh", "-c", litter+"; trap 'exit 7' TERM; : >/out/up; while :; do sleep 0.02; done")
	b.await("the job is up", func() error { _, err := os.Stat(filepath.Join(b.wd, "up")); return err })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := b.wait(cmd, r); got.code != 7 {
		t.Errorf("status %d: %s", got.code, got.stderr)
	}
	b.await("nothing is left", b.leftovers)
}

// TestKilledSupervisor kills runs with SIGKILL at random moments, from their first instant, the making of deltas included: the
// job dies with its supervisor, and the next command removes what is left, whoever it belongs to.
func TestKilledSupervisor(t *testing.T) {
	b, ref := database(t)
	kills := rounds(30, 60)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	mark := fmt.Sprint(100000 + rand.IntN(1<<30))
	for i := range kills {
		if i%3 == 0 {
			b.dropDeltas()
		}
		cmd, r := b.start("run", "--userns", "subuid", ref, "sh", "-c", litter+`; busybox su -s /bin/sh db -c "setsid sleep `+mark+`" & sleep `+mark)
		delay := time.Duration(rng.Int64N(int64(150 * time.Millisecond)))
		if i%5 == 4 {
			b.await("the job is up", func() error { return b.sleepers(mark, 1) })
		}
		time.Sleep(delay)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		b.wait(cmd, r)
		b.await("the job is gone", func() error { return b.sleepers(mark, 0) })
	}
	b.await("nothing is left", func() error { // a worker may be about to see that its order will not be finished
		if r := b.do("runs"); r.code != 0 || r.stderr != "" {
			return fmt.Errorf("runs: %s", r.stderr)
		}
		return b.leftovers()
	})
	if r := b.do("check"); r.code != 0 {
		t.Errorf("check: %s%s", r.stdout, r.stderr)
	}
	if got := b.run(ref, "cat /var/lib/db/seed; stat -c %u:%g /var/lib/db/seed"); got != "seed\n999:999" {
		t.Errorf("%q", got)
	}
}

// TestManyMakeOneDelta: of many that need it at once, all get it.
func TestManyMakeOneDelta(t *testing.T) {
	b, ref := database(t)
	var all sync.WaitGroup
	for range 6 {
		cmd, r := b.start("run", "--userns", "subuid", "-u", "db", ref, "cat", "/var/lib/db/seed")
		all.Go(func() {
			if got := b.wait(cmd, r); got.code != 0 || got.stdout != "seed\n" {
				t.Errorf("status %d, %q %q", got.code, got.stdout, got.stderr)
			}
		})
	}
	all.Wait()
	b.empty("upper", "tmp")
	if deltas, err := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/subuid-*")); err != nil || len(deltas) != 2 {
		t.Errorf("%v, %v", deltas, err)
	}
}

// TestLayersOfRootAlone need no delta, and are not looked at again.
func TestLayersOfRootAlone(t *testing.T) {
	b := newBox(t)
	img := fixture.Busybox(t)
	img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, fixture.Dir("opt", 0o755), fixture.File("opt/x", "x", 0o644)))
	ref := b.pull(img)
	b.run(ref, "true")
	trees, err := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/*"))
	if err != nil || len(trees) != 3 {
		t.Errorf("%v, %v", trees, err)
	}
	if marks, err := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/flat/plain")); err != nil || len(marks) != 1 {
		t.Errorf("%v, %v", marks, err)
	}
}

// dropDeltas has the next run make the deltas again: it finds them to be of another flat tree.
func (b *box) dropDeltas() {
	b.t.Helper()
	descriptions, err := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/subuid-*/layer.json"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, file := range descriptions {
		if err := fsx.WriteFile(file, []byte("{}"), 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			b.t.Fatal(err)
		}
	}
}

// sleepers fails unless so many processes sleep that have a mark among their arguments.
func (b *box) sleepers(mark string, want int) error {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	got := 0
	for _, file := range lines {
		if raw, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(raw), "sleep\x00") && strings.Contains(string(raw), mark) {
			got++
		}
	}
	if got == want || want > 0 && got >= want {
		return nil
	}
	return fmt.Errorf("%d processes sleep, want %d", got, want)
}

func (b *box) leftovers() error {
	for _, dir := range []string{"upper", "tmp", "retired"} {
		if entries, err := os.ReadDir(filepath.Join(b.root, dir)); err != nil || len(entries) > 0 {
			return fmt.Errorf("%s: %v, %w", dir, entries, err)
		}
	}
	return nil
}

// await waits until something is so.
func (b *box) await(what string, is func() error) {
	b.t.Helper()
	const limit = 2 * time.Minute // for a machine that has other things to do
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not so: %s: %v", what, err)
		}
	}
}
