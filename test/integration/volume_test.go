package integration_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/test/fixture"
)

// manyFiles is what an image has in the place of a volume: enough that copying it takes a while.
const manyFiles = 600

func withMany(img *fixture.Image) {
	entries := []fixture.Entry{fixture.Dir("srv", 0o755), fixture.Dir("srv/v", 0o755)}
	for i := range manyFiles {
		entries = append(entries, fixture.File(fmt.Sprintf("srv/v/%d/%d", i%30, i), fmt.Sprintln(i), 0o644))
	}
	img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, entries...))
}

const countFiles = "find /srv/v -type f | wc -l"

// TestFirstUsersOfAVolume: of several runs that mount an empty volume at once, one brings the image's files, and each sees all of
// them from its first instant.
func TestFirstUsersOfAVolume(t *testing.T) {
	b, ref := busybox(t, withMany)
	const runs = 6
	for round := range 3 {
		var jobs [runs]*job
		for i := range jobs {
			jobs[i] = b.start("run", "-v", fmt.Sprintf("shared%d:/srv/v", round), "-v", fmt.Sprintf("other%d:/srv/v/0", round), ref, "sh", "-c", countFiles)
		}
		for _, j := range jobs {
			if r := b.wait(j); r.code != 0 || strings.TrimSpace(r.stdout) != fmt.Sprint(manyFiles) {
				t.Errorf("status %d, %q files, want %d: %s", r.code, r.stdout, manyFiles, r.stderr)
			}
		}
	}
	nothingLeft(t, b)
}

// TestKilledFirstUser kills runs at random moments while they fill a volume: the next run finds all of it, and nothing of the
// killed one.
func TestKilledFirstUser(t *testing.T) {
	b, ref := busybox(t, withMany)
	adopt(t)
	rounds := 8
	if tortured() {
		rounds = 200
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	began := time.Now()
	b.ok("run", "-v", "whole:/srv/v", ref, "true")
	typical := time.Since(began)
	filled := 0
	for i := range rounds {
		name := fmt.Sprint("killed", i)
		j := b.start("run", "-v", name+":/srv/v", ref, "true")
		kill := time.AfterFunc(time.Duration(rng.Int64N(int64(typical))), func() { _ = j.Process.Kill() })
		b.wait(j)
		kill.Stop()
		if entries, err := os.ReadDir(filepath.Join(b.root, "volumes", name, "data")); err == nil && len(entries) > 0 {
			filled++
		}
		if got := b.ok("run", "-v", name+":/srv/v", ref, "sh", "-c", countFiles); got != fmt.Sprint(manyFiles) {
			t.Fatalf("round %d: %s files, want %d", i, got, manyFiles)
		}
		if _, err := os.Lstat(filepath.Join(b.root, "volumes", name, "seed")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("round %d: what was to be moved is left: %v", i, err)
		}
		b.ok("volume", "rm", name)
	}
	t.Logf("%d of %d volumes had content when their run was killed; a run takes %v", filled, rounds, typical)
	nothingLeft(t, b)
}

// TestMountedVolumeIsFilledInPlace: a run that has an empty volume mounted sees what another one's image brings, and what it
// writes is in the same volume.
func TestMountedVolumeIsFilledInPlace(t *testing.T) {
	b, ref := busybox(t, withMany)
	b.dir("out")
	j := b.start("run", "-v", "vol:/mnt:nocopy", "-v", "./out:/out", ref, "sh", "-c", ": >/out/up; while ! test -e /out/go; do sleep 0.05; done; find /mnt -type f | wc -l; echo x >/mnt/mine")
	waitFor(t, "the first run", patience, func() error {
		_, err := os.Lstat(filepath.Join(b.wd, "out/up"))
		return err
	})
	if got := b.ok("run", "-v", "vol:/srv/v", ref, "sh", "-c", countFiles); got != fmt.Sprint(manyFiles) {
		t.Errorf("the second run sees %s files", got)
	}
	b.file("out/go", "")
	if r := b.wait(j); r.code != 0 || strings.TrimSpace(r.stdout) != fmt.Sprint(manyFiles) {
		t.Errorf("the first run: status %d, %q: %s", r.code, r.stdout, r.stderr)
	}
	if got := b.ok("run", "-v", "vol:/mnt", ref, "cat", "/mnt/mine"); got != "x" {
		t.Errorf("what it wrote: %q", got)
	}
}
