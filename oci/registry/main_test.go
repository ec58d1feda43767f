package registry

import (
	"os"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// TestMain runs the tests as an ordinary user, who cannot read every file.
func TestMain(m *testing.M) { os.Exit(need.Unprivileged(m)) }
