package spec

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// variablesOf is the environment of a job with so many CPUs.
func variablesOf(t *testing.T, threads int, image []string, p Process) []string {
	t.Helper()
	s, err := New(ocispec.ImageConfig{Cmd: []string{"x"}, Env: image}, Options{Process: p, Resources: Resources{Threads: threads}}, modern)
	if err != nil {
		t.Fatal(err)
	}
	return s.Process.Env
}

func TestThreads(t *testing.T) {
	all := []string{
		"OMP_NUM_THREADS=3", "OPENBLAS_NUM_THREADS=3", "MKL_NUM_THREADS=3", "BLIS_NUM_THREADS=3", "NUMEXPR_NUM_THREADS=3",
		"NUMEXPR_MAX_THREADS=3", "RAYON_NUM_THREADS=3", "POLARS_MAX_THREADS=3", "LOKY_MAX_CPU_COUNT=3", "PYTHON_CPU_COUNT=3",
	}
	told := variablesOf(t, 3, nil, Process{})
	for _, v := range all {
		if !slices.Contains(told, v) {
			t.Errorf("%s is not among %q", v, told)
		}
	}
	for _, env := range [][]string{variablesOf(t, 0, nil, Process{})} {
		if text := strings.Join(env, " "); strings.Contains(text, "THREADS") {
			t.Errorf("a job that has all CPUs is told %s", text)
		}
	}
}

func TestThreadsThatSomebodyHasChosen(t *testing.T) {
	for _, env := range [][]string{
		variablesOf(t, 3, []string{"OMP_NUM_THREADS=8", "RAYON_NUM_THREADS=7"}, Process{}),
		variablesOf(t, 3, nil, Process{Inherited: []string{"OMP_NUM_THREADS=8"}, Env: []string{"RAYON_NUM_THREADS=7"}}),
		variablesOf(t, 3, []string{"OMP_NUM_THREADS=2"}, Process{Env: []string{"OMP_NUM_THREADS=8", "RAYON_NUM_THREADS=7"}}),
	} {
		text := " " + strings.Join(env, " ") + " "
		for _, want := range []string{" OMP_NUM_THREADS=8 ", " RAYON_NUM_THREADS=7 ", " NUMEXPR_NUM_THREADS=3 "} {
			if strings.Count(text, want) != 1 {
				t.Errorf("%q has not %q once", text, want)
			}
		}
		// These follow OMP_NUM_THREADS, which somebody has chosen.
		for _, other := range []string{"OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS=3", "RAYON_NUM_THREADS=3"} {
			if strings.Contains(text, other) {
				t.Errorf("%q has %s", text, other)
			}
		}
	}
}

func TestResourcesReachTheSpecification(t *testing.T) {
	adj := 500
	r := Resources{Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 5, Hard: 6}}, OOMScoreAdj: &adj}
	s, err := New(ocispec.ImageConfig{Cmd: []string{"x"}}, Options{Resources: r}, modern)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Process.Rlimits) != 1 || s.Process.Rlimits[0] != r.Rlimits[0] || s.Process.OOMScoreAdj == nil || *s.Process.OOMScoreAdj != 500 {
		t.Errorf("%+v", s.Process)
	}
}
