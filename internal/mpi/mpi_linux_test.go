package mpi

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/coracle-run/coracle/internal/sched"
)

// In a directory of everybody's, others may put links by the names of the server's files, that lead to what is the caller's: a job does
// not get that.
func TestPlacesOfAPattern(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	own := filepath.Join(dir, "pmix.sys.node")
	for _, err := range []error{os.WriteFile(own, nil, 0o600), os.Symlink(home, filepath.Join(dir, "pmix.sys.link")), os.Symlink("/nowhere", filepath.Join(dir, "pmix.sys.gone"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign := filepath.Join(dir, "pmix.sys.foreign")
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := os.WriteFile(foreign, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(foreign, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string][]string{filepath.Join(dir, "pmix.sys.*"): {own}, filepath.Join(dir, "none.*"): nil, "/run/[x": {"/run/[x"}, "/a[*": nil} {
		if got := placesOf(pattern); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

// TestAWayThatIsNotTakenLeavesNothing: a job that gets no part in PMIx is not the caller by number for it, and does not see its places.
func TestAWayThatIsNotTakenLeavesNothing(t *testing.T) {
	there := t.TempDir()
	environ := []string{"PMIX_NAMESPACE=job", "PMIX_RANK=0", "PMIX_SERVER_URI41=x;tcp4://127.0.0.1:1", "PMIX_SERVER_TMPDIR=" + there}
	notices := 0
	r := Request{Undecided: true, Environ: environ, Notice: func(string) { notices++ }}
	p, err := Open(r)
	if err != nil || p.way != sched.PMIx || !p.AsCaller || !slices.Equal(p.places, []string{there}) || notices > 0 {
		t.Fatalf("%+v, %v, %d notices", p, err, notices)
	}
	r.Environ = append(environ, "PMIX_DSTORE_ESH_BASE_PATH=/nowhere/at/all")
	p, err = Open(r)
	if err != nil || p.way != sched.NoMPI || p.AsCaller || len(p.places) > 0 || notices != 1 {
		t.Errorf("%+v, %v, %d notices", p, err, notices)
	}
	r.Way = sched.PMIx
	if _, err := Open(r); !errors.Is(err, ErrNone) {
		t.Errorf("asked for by name: %v", err)
	}
	r.Environ, r.Undecided = environ, false
	if _, err := Open(r); !errors.Is(err, ErrNone) {
		t.Errorf("with other numbers: %v", err)
	}
}
