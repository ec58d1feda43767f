package spec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Resources is what holds a job by its processes, and what it is told of what it may use.
type Resources struct {
	Rlimits     []specs.POSIXRlimit
	OOMScoreAdj *int // nil: as the caller's
	Threads     int  // how many CPUs the job has; 0: all that it sees, so that nobody has to tell it
}

func resources(o Resources) Modifier {
	return func(s *specs.Spec) error {
		s.Process.Rlimits, s.Process.OOMScoreAdj = o.Rlimits, o.OOMScoreAdj
		return nil
	}
}

// openMP is the variable that nproc(1) goes by, too, and several libraries where their own is not set.
const openMP = "OMP_NUM_THREADS"

// threaded are the variables by which libraries know how many threads to start. Without them they count the host's CPUs, or
// those that the job may run on, and not what it may use of them.
var threaded = []struct {
	name    string
	follows bool // where it is not set, OMP_NUM_THREADS counts
}{
	{openMP, true}, {"OPENBLAS_NUM_THREADS", true}, {"MKL_NUM_THREADS", true}, {"BLIS_NUM_THREADS", true},
	{"NUMEXPR_NUM_THREADS", false}, {"NUMEXPR_MAX_THREADS", false}, {"RAYON_NUM_THREADS", false}, {"POLARS_MAX_THREADS", false},
	{"LOKY_MAX_CPU_COUNT", false}, // joblib, scikit-learn
	{"PYTHON_CPU_COUNT", false},   // os.cpu_count() from Python 3.13 on
}

// threadVariables tells a job how many threads to start, as far as nobody else has: set is the rest of its environment.
func threadVariables(threads int, set []string) (variables []string) {
	if threads <= 0 {
		return nil
	}
	has := func(name string) bool {
		return slices.ContainsFunc(set, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	chosen := has(openMP)
	for _, v := range threaded {
		if has(v.name) || chosen && v.follows {
			continue
		}
		variables = append(variables, v.name+"="+strconv.Itoa(threads))
	}
	return variables
}
