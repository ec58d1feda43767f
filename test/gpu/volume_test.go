package gpu_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/gpu"
)

// TestVolumesInTheWay: where the user's own directories are mounted over the places of the driver's libraries or of the loader's cache,
// the job has its driver all the same, and nothing is written to those directories.
func TestVolumesInTheWay(t *testing.T) {
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 2})
	program := driver(t).Path("copy")
	for name, volume := range map[string]string{"etc": "./etc:/etc", "read-only etc": "./etc:/etc:ro", "the host's usr": "/usr:/usr:ro", "libraries": "./lib:/usr/lib/nvidia"} {
		t.Run(name, func(t *testing.T) {
			inner := *b
			inner.t, inner.wd = t, t.TempDir()
			for _, dir := range []string{"etc", "lib"} {
				if err := os.Mkdir(filepath.Join(inner.wd, dir), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(inner.wd, dir, "mine"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := inner.do("run", "-q", "--gpus", "all", "-v", volume, "-v", program+":/copy:ro", ref, "sh", "-c", "/copy 2 && nvidia-smi")
			lines := strings.Split(r.stdout, "\n")
			if r.code != 0 || !slices.Contains(lines, "ok") || !slices.Contains(lines, "GPU 1") {
				t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
			}
			if told := strings.Contains(r.stderr, "found by LD_LIBRARY_PATH"); told != (name != "libraries") {
				t.Errorf("it says %q", r.stderr)
			}
			for _, dir := range []string{"etc", "lib"} {
				if entries, err := os.ReadDir(filepath.Join(inner.wd, dir)); err != nil || len(entries) != 1 {
					t.Errorf("%s has %v now, %v", dir, entries, err)
				}
			}
		})
	}
}
