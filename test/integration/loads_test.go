package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	records "github.com/coracle-run/coracle/internal/record"
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
	for _, c := range []struct {
		name    string
		holds   int // processes that keep what they use until it has been measured
		samples int // in how many
	}{
		{"memory", 1, 2}, {"cpu", 1, 2}, {"unclaimed", 2, 2}, {"write", 0, 0}, {"processes", 40, 2},
		{"shared", 1, 6}, // one in which processes were still taking their part is not certain, and there is not one each second
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			meet := t.TempDir()
			goOn := locked(t, filepath.Join(meet, "lock"))
			j := b.start("run", "--name", "load-"+c.name, "-v", load+":/load:ro", "-v", meet+":/sync", image, "/load", c.name)
			if c.holds > 0 {
				waitFor(t, "the job uses all that it will", patience, func() error {
					if files, err := filepath.Glob(filepath.Join(meet, "holds.*")); err != nil || len(files) < c.holds {
						return fmt.Errorf("%d of %d, %w", len(files), c.holds, err)
					}
					return nil
				})
				b.measured("load-"+c.name, c.samples)
			}
			goOn()
			r := b.wait(j)
			var want map[string]float64
			if err := json.Unmarshal([]byte(r.stdout), &want); err != nil {
				t.Fatalf("%v in %q: %s", err, r.stdout, r.stderr)
			}
			rec := b.numbers("load-" + c.name)
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

// locked makes a file and locks it. What it returns lets go of it.
func locked(t *testing.T, path string) (unlock func()) {
	t.Helper()
	file, err := os.Create(path)
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	unlock = sync.OnceFunc(func() { _ = file.Close() })
	t.Cleanup(unlock)
	return unlock
}

// measured waits until so many samples of a running job have been taken from now on.
func (b *box) measured(name string, samples int) {
	b.t.Helper()
	id := b.record(name).ID
	now := len(b.series(id))
	waitFor(b.t, "the job is measured", patience, func() error {
		b.ok("stats", name) // has each sample written
		taken := 0
		for i, line := range b.series(id) {
			if i > now { // the next one may be of a sample that had begun
				taken += line.Samples
			}
		}
		if taken < samples {
			return fmt.Errorf("%d of %d samples", taken, samples)
		}
		return nil
	})
}

// seriesLine is what these tests read of a line of a run's series.
type seriesLine struct {
	T       float64 // seconds from the start to the last sample
	Samples int
}

// series are the lines of a run's series until now.
func (b *box) series(id string) (lines []seriesLine) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.root, "runs", id, records.SystemFile))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var l seriesLine
		if err := json.Unmarshal(line, &l); err == nil && l.Samples > 0 { // else it says where numbers are from, or is half written
			lines = append(lines, l)
		}
	}
	return lines
}
