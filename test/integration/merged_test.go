package integration_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
)

// manyLayers has what layers can do to each other, and enough of them.
func manyLayers(img *fixture.Image) {
	add := func(c fixture.Compression, entries ...fixture.Entry) {
		img.Layers = append(img.Layers, fixture.NewLayer(c, entries...))
	}
	add(fixture.Gzip, fixture.Dir("srv", 0o755), fixture.File("srv/hidden", "x", 0o644), fixture.File("srv/seen", "seen\n", 0o644), fixture.Symlink("srv/to", "seen"),
		fixture.Dir("srv/opt", 0o755), fixture.File("srv/opt/old", "", 0o644), fixture.Dir("srv/was", 0o755), fixture.File("srv/was/inside", "", 0o644), fixture.File("srv/is", "", 0o644))
	add(fixture.Zstd, fixture.Whiteout("srv/", "hidden"), fixture.Dir("srv", 0o2775).Own(7, 7), fixture.File("srv/own", "own", 0o600).Own(7, 7))
	add(fixture.Gzip, fixture.Opaque("srv/opt"), fixture.File("srv/opt/new", "", 0o644), fixture.Hardlink("srv/opt/twin", "srv/opt/new"), fixture.Fifo("srv/pipe", 0o600))
	add(fixture.Gzip, fixture.File("srv/was", "a file now", 0o644), fixture.Dir("srv/is", 0o700), fixture.File("srv/is/inside", "", 0o600).Xattr("user.test", "x"))
	for n := range 6 {
		add(fixture.Gzip, fixture.File(fmt.Sprintf("srv/many/%d/%d", n%3, n), "x", 0o644))
	}
}

// TestMergedLayers: the first run has the layers of its image merged, beside the job, and the next ones see what the first saw.
func TestMergedLayers(t *testing.T) {
	b, ref := busybox(t, manyLayers)
	adopt(t)
	t.Setenv("CORACLE_NO_SETTLE", "") // which the other tests set: their stores go at once
	const look = `cd "$1" && find srv | sort | while read f; do stat -c '%n %f %u:%g %s %Y' "$f"; test ! -f "$f" || cat "$f"; done; ls -i srv/opt | cut -d' ' -f1 | uniq | wc -l; sed -n 's/.* \/ \/ .* - overlay [^ ]* [^ ]*lowerdir+\?=\([^,]*\),upperdir.*/lower \1/p' /proc/self/mountinfo`
	run := func(dir string) (seen, lower string) {
		t.Helper()
		out := b.ok("run", "--mount", "type=image,src="+ref+",dst=/data", ref, "sh", "-c", look, "sh", dir)
		seen, lower, _ = strings.Cut(out, "lower ")
		return seen, lower
	}
	before, apart := run("/")
	waitFor(t, "the layers are merged", patience, func() error {
		if stacks, err := filepath.Glob(filepath.Join(b.root, "layers/stacks/????????????????????????????????????????????????????????????????")); err != nil || len(stacks) != 1 {
			return errors.Join(err, fmt.Errorf("%d stacks", len(stacks)))
		}
		return nil
	})
	after, lower := run("/")
	if before != after || !strings.Contains(before, "a file now") || strings.Contains(before, "hidden") {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if !strings.HasPrefix(lower, "0-") && strings.Count(lower, ":") >= strings.Count(apart, ":") { // by name, or before Linux 6.5 by descriptors
		t.Errorf("mounted of %q, and then of %q", apart, lower)
	}
	if data, _ := run("/data"); data != before {
		t.Errorf("mounted as data:\n%s\nwant:\n%s", data, before)
	}
	b.ok("check", "--read-data")
	b.ok("rmi", ref)
	if left, err := filepath.Glob(filepath.Join(b.root, "layers/stacks/*")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	nothingLeft(t, b)
}
