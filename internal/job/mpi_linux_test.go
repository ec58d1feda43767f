package job

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
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
