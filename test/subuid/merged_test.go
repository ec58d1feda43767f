package subuid_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
)

// TestMergedLayersAndOwners: where the image's files have their owners each layer counts by itself, also when they are merged for
// other runs.
func TestMergedLayersAndOwners(t *testing.T) {
	t.Setenv("CORACLE_NO_SETTLE", "")
	b, ref := database(t, func(img *fixture.Image) {
		for n := range 8 {
			name := fmt.Sprintf("opt/%d", n)
			img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, fixture.File(name, "x", 0o600).Own(999, 999), fixture.Dir("var/lib/db", 0o700).Own(999, 999)))
		}
	})
	b.await("the layers are merged and on the disk", func() error {
		stacks, err := filepath.Glob(filepath.Join(b.root, "layers/stacks/*/0-9"))
		marks, markErr := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/flat/synced"))
		if len(stacks) != 1 || strings.Contains(stacks[0], ".") || len(marks) != 10 {
			return errors.Join(fmt.Errorf("%v, %d layers settled", stacks, len(marks)), err, markErr)
		}
		return nil
	})
	const look = "stat -c '%u:%g %a' /var/lib/db/seed /opt/0 /opt/7 /var/lib/db; ls /opt | wc -l"
	if got, want := b.run(ref, look), "999:999 600\n999:999 600\n999:999 600\n999:999 700\n8"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// Something has taken old files of one layer; the merged tree is younger.
	layer, err := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/flat/fs/opt/3"))
	if err != nil || len(layer) != 1 {
		t.Fatal(layer, err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(layer[0]), "../../eldest")); err != nil {
		t.Fatal(err)
	}
	if got := b.ok("run", "--pull", "never", ref, "sh", "-c", "ls /opt | wc -l"); got != "8" {
		t.Errorf("of the merged tree: %q", got)
	}
	if r := b.do("run", "--pull", "never", "--userns", "subuid", ref, "true"); r.code != 125 || !strings.Contains(r.stderr, "not stored") {
		t.Errorf("with a layer that is not to be trusted: %+v", r)
	}
}
