package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// loadProgram names testdata/load, built: static, for images without a loader. Beside it is testdata/mounter.
const loadProgram = "CORACLE_TEST_LOAD"

// buildLoad builds them, once for root's process and the ordinary user's. What it returns removes it.
func buildLoad() (remove func(), err error) {
	if os.Getenv(loadProgram) != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "coracle-load-")
	if err != nil {
		return nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	file := filepath.Join(dir, "load")
	cmd := exec.Command("go", "build", "-o", dir+"/", "./testdata/load", "./testdata/mounter", "./testdata/peer", "./testdata/impostor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return remove, errors.Join(err, os.Chmod(dir, 0o755), os.Setenv(loadProgram, file))
}

// numbers are those of a record, and where they are from.
type numbers struct {
	values  map[string]float64
	sources map[string]string
}

func (b *box) numbers(id string) numbers {
	b.t.Helper()
	var rec struct {
		Totals, Peaks map[string]float64
		Sources       map[string]string
	}
	if err := json.Unmarshal([]byte(b.ok("runs", "show", id, "--json")), &rec); err != nil {
		b.t.Fatal(err)
	}
	n := numbers{values: map[string]float64{}, sources: rec.Sources}
	for prefix, values := range map[string]map[string]float64{"totals.": rec.Totals, "peaks.": rec.Peaks} {
		for name, v := range values {
			n.values[prefix+name] = v
			if rec.Sources[prefix+name] == "" && v != 0 {
				b.t.Errorf("the record does not say where %s%s is from", prefix, name)
			}
		}
	}
	return n
}

// TestKnownLoads: what the record says of a job is what the kernel has accounted to it, within 5 %.
func TestKnownLoads(t *testing.T) {
	b, image := busybox(t)
	load := os.Getenv(loadProgram)
	if _, err := os.Stat(load); err != nil {
		need.Missing(t, "load", err.Error())
	}
	for _, name := range []string{"memory", "cpu", "unclaimed", "write", "processes", "shared"} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t = t
			var want map[string]float64
			out := b.ok("run", "--name", "load-"+name, "-v", load+":/load:ro", image, "/load", name)
			if err := json.Unmarshal([]byte(out), &want); err != nil {
				t.Fatalf("%v in %q", err, out)
			}
			rec := b.numbers("load-" + name)
			for field, value := range want {
				got, ok := rec.values[field]
				t.Logf("%s: %v (%s), the kernel: %v", field, got, rec.sources[field], value)
				if !ok || math.Abs(got-value) > 0.05*value {
					t.Errorf("%s: the record says %v, the kernel %v", field, got, value)
				}
			}
		})
	}
}
