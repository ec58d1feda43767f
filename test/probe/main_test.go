package probe_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

var update = flag.Bool("update", false, "write the golden files and README.md anew")

// written, in the environment, is where an ordinary user's tests write what root's then put in place.
const written = "CORACLE_TEST_PROBE_WRITTEN"

func TestMain(m *testing.M) {
	becomeStatic()
	flag.Parse()
	end := need.LendTun()
	status, err := runTests(m)
	end()
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

func runTests(m *testing.M) (status int, err error) {
	if *update && os.Geteuid() == 0 {
		return renewing(m)
	}
	return need.Subordinate(m, files()...), nil
}

// files are what the tests want of the package, beside testdata.
func files() []string {
	list := []string{"inside", "README.md"}
	if file := os.Getenv(prebuilt); file != "" {
		list = append(list, file)
	}
	return list
}

// renewing has an ordinary user's tests write beside the tree, where they may, and takes over what they wrote.
func renewing(m *testing.M) (status int, err error) {
	dir, err := os.MkdirTemp("", "probe-written-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = errors.Join(os.Mkdir(filepath.Join(dir, "testdata"), 0o755), os.Chmod(dir, 0o1777), os.Chmod(filepath.Join(dir, "testdata"), 0o1777), os.Setenv(written, dir))
	if err != nil {
		return 0, err
	}
	status = need.Subordinate(m, files()...)
	for _, pattern := range []string{"*.md", "testdata/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return status, err
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				return status, err
			}
			if err := os.WriteFile(filepath.Join(filepath.Dir(pattern), filepath.Base(file)), raw, 0o644); err != nil {
				return status, err
			}
		}
	}
	return status, nil
}

// prebuilt names the probe, relative to the package, where there is no compiler (test/vm).
const prebuilt = "CORACLE_TEST_PROBE"

// program builds the probe, once, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	if file := os.Getenv(prebuilt); file != "" {
		return filepath.Abs(file)
	}
	sources, err := filepath.Glob("inside/*.c")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "probe-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "probe")
	args := append([]string{"-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", file}, sources...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return file, nil
})

// build needs a C compiler, as building Coracle does, and returns the probe's path.
func build(t *testing.T) string {
	t.Helper()
	if os.Getenv(prebuilt) == "" {
		need.Tool(t, "gcc")
	}
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// run runs a command that ends with a probe's output. What it says beside that shows when it fails.
func run(t *testing.T, cmd *exec.Cmd) report {
	t.Helper()
	var said strings.Builder
	cmd.Stderr = &said
	cmd.WaitDelay = 10 * time.Second
	watch := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer watch.Stop()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, &said)
	}
	r, err := read(string(out))
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, &said)
	}
	return r
}

// here is this machine.
func here(t *testing.T) machine {
	t.Helper()
	need.NonRoot(t)
	return machine{outside: run(t, exec.Command(build(t)))}
}

// image is the busybox image with the probe as /probe.
func image(t *testing.T) fixture.Image {
	t.Helper()
	raw, err := os.ReadFile(build(t))
	if err != nil {
		t.Fatal(err)
	}
	img := fixture.Busybox(t)
	img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, fixture.File("probe", string(raw), 0o755)))
	return img
}

// write writes a file of this package anew.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(os.Getenv(written), name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
