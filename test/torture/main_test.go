package torture

import (
	"os"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
)

func TestMain(m *testing.M) {
	if order := os.Getenv(orderEnv); order != "" {
		os.Exit(obey(order))
	}
	// No credentials of whoever runs the tests.
	if err := os.Setenv("DOCKER_CONFIG", "/nonexistent"); err != nil {
		panic(err)
	}
	os.Exit(need.Unprivileged(m))
}

// lengthEnv asks for the whole of the torture, and says how long the loops run.
const lengthEnv = "CORACLE_TEST_TORTURE"

// length is how long the loops run, and whether all is asked for.
func length(t *testing.T) (time.Duration, bool) {
	t.Helper()
	text := os.Getenv(lengthEnv)
	if text == "" {
		return 5 * time.Second, false
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", lengthEnv, err)
	}
	return d, true
}
