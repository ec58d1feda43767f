package subuid_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilledChildren kills at random moments whatever a run with several users has started: who makes deltas or removes what others
// have left, the keeper. The run ends, says of what, and leaves nothing.
func TestKilledChildren(t *testing.T) {
	b, ref := database(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	mark := fmt.Sprint(100000 + rng.IntN(1<<30))
	ends := map[int]int{}
	for i := range rounds(8, 30) {
		if i%3 == 0 {
			b.dropDeltas()
		}
		cmd, r := b.start("run", "--userns", "subuid", ref, "sh", "-c", litter+`; busybox su -s /bin/sh db -c "setsid sleep `+mark+`" & sleep `+mark)
		time.Sleep(time.Duration(rng.Int64N(int64(150 * time.Millisecond))))
		b.await("it ends without them", func() error { return killChildren(cmd.Process.Pid) })
		got := b.wait(cmd, r)
		b.await("the job is gone", func() error { return b.sleepers(mark, 0) })
		if got.code != 125 && got.code != 128+int(syscall.SIGKILL) || got.code == 125 && got.stderr == "" {
			t.Errorf("status %d: %q", got.code, got.stderr)
		}
		ends[got.code]++
	}
	t.Logf("they ended with %v", ends)
	b.await("nothing is left", func() error {
		b.ok("runs", "--quiet") // any command would do
		return b.leftovers()
	})
	for _, r := range b.records() {
		if r.State != "exited" || !slices.Contains([]string{"signalled", "start-failure", "image-failure"}, r.Cause) {
			t.Errorf("%+v", r)
		}
	}
	if got := b.run(ref, "cat /var/lib/db/seed; stat -c %u:%g /var/lib/db/seed"); got != "seed\n999:999" {
		t.Errorf("%q", got)
	}
}

// TestKilledCopy kills `coracle cp` at random moments: what it has started among the container's users ends with it, no part of a file is
// there by its name, and it can be done again.
func TestKilledCopy(t *testing.T) {
	b, ref := database(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	const size = 8 << 20
	if err := os.WriteFile(filepath.Join(b.wd, "big"), bytes.Repeat([]byte("x"), size), 0o600); err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprint("into-", rng.IntN(1<<30))
	run, r := b.start("run", "--userns", "subuid", "--name", "it", "-v", b.wd+":/out", ref, "sh", "-c", "mkdir /"+mark+" && : >/out/up && exec sleep 600")
	b.await("the job is up", func() error { _, err := os.Stat(filepath.Join(b.wd, "up")); return err })
	for i := range rounds(6, 20) {
		args := []string{"cp", "big", "it:/" + mark + "/big"}
		if i%2 == 1 {
			b.ok(args...)
			args = []string{"cp", "it:/" + mark + "/big", "copy"}
		}
		cmd, r := b.start(args...)
		time.Sleep(time.Duration(rng.Int64N(int64(80 * time.Millisecond))))
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		b.wait(cmd, r)
		b.await("nobody copies", func() error { return noneCopies(mark) })
		got := b.ok("exec", "it", "sh", "-c", "cd /"+mark+" && ! test -e big || wc -c <big; rm -f big")
		if got != "" && got != strconv.Itoa(size) {
			t.Errorf("%s of %d bytes are there", got, size)
		}
		if info, err := os.Stat(filepath.Join(b.wd, "copy")); err == nil && info.Size() != size {
			t.Errorf("%d of %d bytes were copied out", info.Size(), size)
		}
		if err := os.RemoveAll(filepath.Join(b.wd, "copy")); err != nil {
			t.Fatal(err)
		}
	}
	if err := run.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.wait(run, r)
	b.await("nothing is left", func() error {
		b.ok("runs", "--quiet") // any command would do
		return b.leftovers()
	})
	if list := b.records(); len(list) != 1 || list[0].State != "lost" {
		t.Errorf("%+v", list)
	}
}

// rounds is how many of a long test are done: a sample, or all (make torture).
func rounds(sample, all int) int {
	if os.Getenv("CORACLE_TEST_TORTURE") == "" {
		return sample
	}
	return all
}

// killChildren kills all children of a process, and fails until that has ended.
func killChildren(parent int) error {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	over := true
	for _, file := range stats {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || fields[0] == "Z" {
			continue
		}
		over = over && pid != parent
		if fields[1] == strconv.Itoa(parent) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // those are root's who write the maps; another may have ended
		}
	}
	if over {
		return nil
	}
	return errors.New("it goes on")
}

// noneCopies is an error when a process of cp's works for it among the container's users.
func noneCopies(mark string) error {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range lines {
		if raw, err := os.ReadFile(file); err == nil && strings.Contains(string(raw), "\x00container-files\x00") && strings.Contains(string(raw), mark) {
			return fmt.Errorf("%q", raw)
		}
	}
	return nil
}

// records are those of all runs of the box.
func (b *box) records() (list []struct{ ID, State, Cause, Message string }) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.ok("runs", "--json")), &list); err != nil {
		b.t.Fatal(err)
	}
	return list
}
