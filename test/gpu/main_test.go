package gpu_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/gpu"
)

func TestMain(m *testing.M) {
	if is, err := gpu.Keep(); is {
		if err != nil {
			fmt.Fprintln(os.Stderr, "setting a machine up:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(gpu.LaneEnv) != "" {
		os.Exit(runLane(m))
	}
	os.Exit(need.Unprivileged(suite{m}))
}

// suite removes what the tests share after the last of them.
type suite struct{ *testing.M }

func (s suite) Run() int {
	status := s.M.Run()
	if shared.dir != "" {
		if err := os.RemoveAll(shared.dir); err != nil {
			fmt.Fprintln(os.Stderr, "gpu:", err)
			return 1
		}
	}
	return status
}

// shared is what is made once for all tests.
var shared struct {
	sync.Once
	dir    string
	driver gpu.Driver
	err    error
}

// driver is the fake driver.
func driver(t *testing.T) gpu.Driver {
	t.Helper()
	shared.Do(func() {
		// Unlike t.TempDir, it outlives this test.
		shared.dir, shared.err = os.MkdirTemp("", "driver-") //nolint:usetesting // see above
		if shared.err == nil {
			shared.driver, shared.err = gpu.Build(context.Background(), shared.dir)
		}
	})
	if errors.Is(shared.err, gpu.ErrNoCompiler) {
		need.Missing(t, "gcc", shared.err.Error())
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.driver
}

// machine is one with the fake driver that ends with the test.
func machine(t *testing.T, setup gpu.Setup) *gpu.Machine {
	t.Helper()
	need.Overlay(t)
	need.Tool(t, "nsenter")
	need.Tool(t, "setpriv")
	if libraries, err := gpu.SystemLibraries(); err != nil {
		need.Missing(t, "glibc", err.Error())
	} else if found, _ := filepath.Glob(filepath.Join(libraries, "libnvidia-ml.so*")); setup.Place != gpu.Usual && len(found) > 0 {
		// The fake driver lies over one in the usual place; elsewhere it would be the second.
		need.Missing(t, "driverless", "this machine has a driver of its own: "+found[0])
	}
	m, err := gpu.Start(driver(t), t.TempDir(), setup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Errorf("stopping the machine: %v", err)
		}
	})
	return m
}
