package slurm_test

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/mlimage"
)

//go:embed testdata
var programs embed.FS

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

// program is a program of testdata that the user can read, as an option that mounts it, and its path inside.
func (b *box) program(name string) (option, path string) {
	b.t.Helper()
	text, err := programs.ReadFile("testdata/" + name)
	if err != nil {
		b.t.Fatal(err)
	}
	outside := filepath.Join(b.home, name)
	if err := os.WriteFile(outside, text, 0o644); err != nil {
		b.t.Fatal(err)
	}
	return "--volume=" + outside + ":/job/" + name + ":ro", "/job/" + name
}

// TestMPI: four processes on two nodes are one parallel program, each in a container of its own: Open MPI by PMIx, and
// Slurm's own client by PMI2.
func TestMPI(t *testing.T) {
	for _, c := range []struct{ name, kind, program, says, userns string }{
		{"Open MPI", "pmix", "openmpi.py", "10, 600000", "host-uid"},
		{"PMI2", "pmi2", "pmi2.py", "10", "flat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newClusterBox(t)
			option, path := b.program(c.program)
			for _, options := range [][]string{nil, {"--mpi", c.kind}} {
				args := slices.Concat([]string{"--mpi=" + c.kind, "-N2", "-n4", "--ntasks-per-node=2", "coracle", "run", "-q", option}, options, []string{b.ref, "python3", path})
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
