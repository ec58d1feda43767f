package probe_test

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// whyDynamic carries why these tests are not linked statically; asBuilt the file, to be removed, that the static ones are in.
const (
	whyDynamic = "CORACLE_TEST_WHY_DYNAMIC"
	asBuilt    = "CORACLE_TEST_STATIC_FILE"
)

// becomeStatic executes these tests once more, linked as Coracle is: they start containers by the library, and what starts a
// container is executed inside, where no library is. It returns when that cannot be.
func becomeStatic() {
	if file := os.Getenv(asBuilt); file != "" {
		_ = os.RemoveAll(filepath.Dir(file)) // only disk space
		_ = os.Unsetenv(asBuilt)
	}
	if isStatic() || os.Getenv(whyDynamic) != "" {
		return
	}
	file, err := linkStatic()
	if err == nil {
		err = syscall.Exec(file, os.Args, append(os.Environ(), asBuilt+"="+file))
	}
	_ = os.Setenv(whyDynamic, err.Error()) // cannot fail for such a name
}

func linkStatic() (string, error) {
	dir, err := os.MkdirTemp("", "probe-static-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "probe.test")
	tags := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-tags" {
				tags = s.Value
			}
		}
	}
	cmd := exec.Command("go", "test", "-c", "-tags", tags, "-ldflags", "-linkmode external -extldflags -static", "-o", file, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("linking the tests statically: %w: %s", err, out), os.RemoveAll(dir))
	}
	return file, nil
}

func isStatic() bool {
	file, err := elf.Open("/proc/self/exe")
	if err != nil {
		return false
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// static needs these tests to be linked statically.
func static(t *testing.T) {
	t.Helper()
	if why := os.Getenv(whyDynamic); why != "" {
		need.Missing(t, "static", why)
	}
}
