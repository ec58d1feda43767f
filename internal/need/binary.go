package need

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binaryEnv names the coracle binary under test; without it the tests take bin/coracle of this tree.
const binaryEnv = "CORACLE_BIN"

// Binary needs the real coracle binary, as `make build` makes it, and returns its absolute path. Tests never build it:
// what they run is what a user would run.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binaryPath()
	if err != nil {
		Missing(t, "binary", err.Error())
	}
	if source := newerSource(path); source != "" {
		t.Logf("%s is older than %s: `make build` renews it", path, source)
	}
	return path
}

// helperName is the GPU helper's program, which lies beside the binary.
const helperName = "coracle-nvidia"

// GPUHelper needs the program that asks NVIDIA's driver, as `make build` makes it, beside that of Binary, and returns its path.
func GPUHelper(t testing.TB) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(Binary(t)), helperName)
	if _, err := os.Stat(path); err != nil {
		Missing(t, "gpu-helper", err.Error())
	}
	return path
}

func binaryPath() (string, error) {
	path := os.Getenv(binaryEnv)
	if path == "" {
		top, err := Top()
		if err != nil {
			return "", err
		}
		path = filepath.Join(top, "bin", "coracle")
	}
	if _, err := os.Stat(path); err != nil {
		return "", errors.Join(err, errors.New("`make build` makes the binary"))
	}
	return filepath.Abs(path)
}

// Top is the root of the source tree: the directory of go.mod at or above the working directory.
func Top() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", &fs.PathError{Op: "finding go.mod above", Path: start, Err: fs.ErrNotExist}
		}
	}
}

// newerSource is a Go file of the product that changed after the binary was made, or "" when there is none or the sources
// are out of reach.
func newerSource(binary string) (found string) {
	made := modTime(binary)
	top, err := Top()
	if err != nil {
		return ""
	}
	for _, dir := range []string{"cmd", "internal", "oci", "runtime"} {
		// An unreadable tree only costs the warning.
		_ = filepath.WalkDir(filepath.Join(top, dir), func(path string, _ fs.DirEntry, err error) error {
			product := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
			if err == nil && product && modTime(path).After(made) {
				found = path
				return fs.SkipAll
			}
			return err
		})
	}
	return found
}

func modTime(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
