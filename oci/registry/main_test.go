package registry

import (
	"flag"
	"os"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// TestMain runs the tests as an ordinary user, who cannot read every file. Fuzzing keeps what it finds beside the package.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.fuzz"); f != nil && f.Value.String() != "" {
		os.Exit(m.Run())
	}
	os.Exit(need.Unprivileged(m))
}
