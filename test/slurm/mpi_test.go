package slurm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/mlimage"
)

// newClusterBox is a box with the image for jobs over several nodes in the store. Its layers all such boxes share.
func newClusterBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	dir, err := mlimage.Cluster.Find()
	if err != nil {
		need.Missing(t, "clusterimage", err.Error())
	}
	b.layers, b.ref = filepath.Join(b.cluster.home, "layers"), "oci:"+dir
	b.pull()
	return b
}

// program puts a file where the user can read it. It returns the path.
func (b *box) program(dir, name string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(b.home, name)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// TestMPI: four processes on two nodes are one parallel program, each in a container of its own: Open MPI by PMIx, and
// Slurm's own client by PMI2.
func TestMPI(t *testing.T) {
	for _, c := range []struct{ name, kind, dir, program, says, userns string }{
		{"Open MPI", "pmix", "examples", "allreduce.py", "10, 600000", "host-uid"},
		{"PMI2", "pmi2", "testdata", "pmi2.py", "10", "flat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newClusterBox(t)
			path := b.program(c.dir, c.program)
			for _, options := range [][]string{nil, {"--mpi", c.kind}} {
				args := slices.Concat([]string{"--mpi=" + c.kind, "-N2", "-n4", "--ntasks-per-node=2", "coracle", "run", "-q", "-v", path + ":/job.py"}, options, []string{b.ref, "python3", "/job.py"})
				out := b.fine("srun", args...)
				lines := strings.Split(strings.TrimSpace(out), "\n")
				slices.Sort(lines)
				for rank := range 4 {
					if want := fmt.Sprintf("rank %d of 4: %s", rank, c.says); len(lines) != 4 || lines[rank] != want {
						t.Fatalf("%q: %q, want %q", options, lines, want)
					}
				}
			}
			for _, r := range b.list() {
				if r.MPI.Way != c.kind || r.UserNS != c.userns || (len(r.MPI.Places) > 0) != (c.kind == "pmix") {
					t.Errorf("on record: %+v", r)
				}
			}
		})
	}
}

// TestNoMPI: what the step does not offer is an error that says so, and without a launcher there is nothing to offer.
func TestNoMPI(t *testing.T) {
	b := newBox(t)
	b.pull()
	for _, kind := range []string{"pmix", "pmi2"} {
		r := b.do("srun", "--mpi=none", "-n1", "coracle", "run", "--mpi", kind, b.ref, "true")
		if r.code != 125 || !strings.Contains(r.stderr, "no such MPI here: --mpi "+kind+": whoever has started this process offers none") || !strings.Contains(r.stderr, "srun --mpi=list") {
			t.Errorf("%s: status %d: %s", kind, r.code, r.stderr)
		}
	}
	if r := b.do("srun", "--mpi=pmi2", "-n1", "coracle", "run", "--mpi", "pmix", b.ref, "true"); r.code != 125 || !strings.Contains(r.stderr, "offers pmi2 alone") {
		t.Errorf("the other one: status %d: %s", r.code, r.stderr)
	}
	if out := b.fine("srun", "--mpi=pmix", "-n1", "coracle", "run", "-q", "--mpi", "none", b.ref, "sh", "-c", "id -u; env | grep -c ^PMI; true"); out != "0\n0\n" {
		t.Errorf("none: %q", out)
	}
}
