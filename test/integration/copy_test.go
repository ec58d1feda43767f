package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// racer is a job that swaps directories and links as fast as it can, in its own files and in a volume, so that a copy which follows a
// path twice is led to the canary of the host, by a relative way or an absolute one. The same names are good and bad by turns.
const racer = `
mkdir -p /own /tree/d; echo good >/good; echo tree >/tree/d/file; : >/vol/up
while test ! -e /vol/stop; do
	for to in "$1" ../../../../../../../../../../../../../../..$1; do
		mkdir /own/d /vol/tree /vol/tree/d; echo good >/own/d/file; echo good >/own/f
		rm -rf /own/d /own/f; ln -s $to /own/d; ln -s $to/file /own/f
		rm -rf /vol/tree/d; ln -s $to /vol/tree/d
		rm -rf /vol/tree; ln -s $to /vol/tree
		rm -rf /own/d /own/f /vol/tree
	done 2>/dev/null
done`

// TestCopiesWhileTheJobRacesLinks: whatever a job does with links meanwhile, nothing of the host is read for it or written by it.
func TestCopiesWhileTheJobRacesLinks(t *testing.T) {
	b, ref := busybox(t)
	b.dir("vol")
	b.file("canary/file", "canary\n")
	b.file("local/d/file", "written\n")
	canary := filepath.Join(b.wd, "canary")
	j := b.start("run", "--name", "racer", "-v", b.wd+"/vol:/vol", ref, "sh", "-c", racer, "sh", canary)
	waitFor(t, "the job races", patience, func() error {
		_, err := os.Lstat(filepath.Join(b.wd, "vol", "up"))
		return err
	})
	rounds := 12
	if tortured() {
		rounds = 100
	}
	done := map[string]int{}
	for range rounds {
		for name, args := range map[string][]string{
			"a file by a link":          {"cp", "-L", "racer:/own/f", "out-file"},
			"a file below a link":       {"cp", "racer:/own/d/file", "out-below"},
			"a tree with links":         {"cp", "racer:/own", "out-tree"},
			"to a directory that swaps": {"cp", "racer:/tree", "vol"},
			"into the container":        {"cp", "local/.", "racer:/own"},
			"into the volume":           {"cp", "local", "racer:/vol/tree"},
		} {
			if b.do(args...).code == 0 {
				done[name]++
			}
			b.canaryIsAlone(canary)
			for _, out := range []string{"out-file", "out-below", "out-tree"} {
				b.nothingOfTheCanary(out)
			}
			if t.Failed() {
				t.Fatalf("after %s", name)
			}
			_ = os.RemoveAll(filepath.Join(b.wd, "out-tree"))
		}
	}
	t.Logf("of %d rounds each: %v", rounds, done)
	if len(done) == 0 {
		t.Error("not one copy came about")
	}
	b.file("vol/stop", "")
	if r := b.wait(j); r.code != 0 {
		t.Errorf("the job: status %d: %s", r.code, r.stderr)
	}
	b.canaryIsAlone(canary)
}

// canaryIsAlone fails the test when anything was written to the canary's directory.
func (b *box) canaryIsAlone(dir string) {
	b.t.Helper()
	entries, err := os.ReadDir(dir)
	raw, readErr := os.ReadFile(filepath.Join(dir, "file"))
	if err != nil || readErr != nil || len(entries) != 1 || string(raw) != "canary\n" {
		b.t.Errorf("the canary: %v %q, %v, %v", entries, raw, err, readErr)
	}
}

// nothingOfTheCanary fails the test when a copy has what is in the canary.
func (b *box) nothingOfTheCanary(name string) {
	b.t.Helper()
	err := filepath.WalkDir(filepath.Join(b.wd, name), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // what is not there holds nothing
		}
		if raw, err := os.ReadFile(path); err == nil && strings.Contains(string(raw), "canary") {
			b.t.Errorf("%s holds what is not the container's", path)
		}
		return nil
	})
	if err != nil {
		b.t.Error(err)
	}
}
