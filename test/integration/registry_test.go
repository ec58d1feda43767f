package integration_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
)

// shared is what tests make once and use together: pushing and pulling 290 MB for each of them would be no better test.
var shared struct {
	dir      string // a temporary directory
	registry *exec.Cmd
	host     string
	once     sync.Once
	image    pulled
}

// pulled is an image in a registry and in a store.
type pulled struct {
	ref, digest string
	root        string // the store's CORACLE_ROOT
}

// learningImage is the machine-learning image, brought through a real registry into a store by the first test that wants it.
func learningImage(t *testing.T) pulled {
	t.Helper()
	// Each test says for itself what it lacks.
	learningLayout(t)
	need.Tool(t, "docker-registry")
	shared.once.Do(func() { shared.image = pushAndPull(t) })
	if shared.image.ref == "" {
		t.Fatal("the machine-learning image could not be pulled; see the first test that failed")
	}
	return shared.image
}

// endShared ends the registry and removes what it held.
func endShared() {
	if cmd := shared.registry; cmd != nil {
		// It was asked to die; how it says so is of no interest.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if shared.dir != "" {
		if err := removeStore(shared.dir); err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
		}
	}
}

// removeStore removes a directory with stores in it. The kernel leaves an overlay's work/work with mode 0.
func removeStore(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	// The process that waits for the disk after a pull names the store in its arguments; it ends by itself, and may remove something before.
	for named(dir) {
		time.Sleep(time.Millisecond)
	}
	out, err := exec.Command("chmod", "-R", "u+rwX", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.RemoveAll(dir)
}

// named reports whether a living process has a directory among its arguments.
func named(dir string) bool {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is a good one
	return slices.ContainsFunc(lines, func(file string) bool {
		line, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(line), dir+"\x00")
	})
}

// realRegistry is the address of a docker-registry that was started for these tests.
func realRegistry(t *testing.T) string {
	t.Helper()
	program := need.Tool(t, "docker-registry")
	if shared.host != "" {
		return shared.host
	}
	host := freeAddress(t)
	config := filepath.Join(sharedDir(t), "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n",
		filepath.Join(shared.dir, "registry"), host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	cmd.SysProcAttr = dieWithTests()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shared.registry = cmd
	waitFor(t, "docker-registry answers", patience, func() error {
		resp, err := http.Get("http://" + host + "/v2/")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	shared.host = host
	return host
}

func sharedDir(t *testing.T) string {
	t.Helper()
	if shared.dir == "" {
		// Unlike t.TempDir, it outlives this test.
		dir, err := os.MkdirTemp("", "shared-") //nolint:usetesting // see above
		if err != nil {
			t.Fatal(err)
		}
		shared.dir = dir
	}
	return shared.dir
}

// freeAddress is a loopback address on which nothing listens. It is not that of tests beside this one, which take ports of theirs by chance.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// patience is how long something may take that comes by itself. It is not what is tested: machines that run tests have other things to do.
const patience = 2 * time.Minute

// waitFor tries until ready says nothing is wrong.
func waitFor(t *testing.T, what string, limit time.Duration, ready func() error) {
	t.Helper()
	err := errors.New("not tried")
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = ready(); err == nil {
			return
		}
	}
	t.Fatalf("waited %v: %s: %v", limit, what, err)
}

func pushAndPull(t *testing.T) pulled {
	t.Helper()
	dir := learningLayout(t)
	host := realRegistry(t)
	ref := host + "/ml/sklearn:1"
	digest := push(t, dir, host, "ml/sklearn", "1")
	b := newBoxAt(t, filepath.Join(sharedDir(t), "store"))
	b.ok("pull", ref)
	return pulled{ref: ref, digest: digest, root: b.root}
}
