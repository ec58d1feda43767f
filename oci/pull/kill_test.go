package pull_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/test/fixture"
)

// killEnv makes a process of this test pull "REF STORE STEP" and kill itself at that step that changes the disk.
const killEnv = "CORACLE_TEST_KILL"

func TestMain(m *testing.M) {
	if job := strings.Fields(os.Getenv(killEnv)); len(job) == 3 {
		os.Exit(pullAndDie(job[0], job[1], job[2]))
	}
	if job := strings.Fields(os.Getenv(tmpfsEnv)); len(job) == 3 {
		if err := pullIntoTmpfs(job[0], job[1], job[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if job := strings.Fields(os.Getenv(killAfterEnv)); len(job) == 3 {
		after, err := strconv.ParseInt(job[2], 10, 64)
		if err = errors.Join(err, pullAndDieAfter(job[0], job[1], after)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// killAfterEnv makes a process of this test pull "REF STORE BYTES" and kill itself after so many bytes.
const killAfterEnv = "CORACLE_TEST_KILL_AFTER"

func pullAndDie(name, root, step string) int {
	at, err := strconv.ParseInt(step, 10, 64)
	if err != nil {
		return 2
	}
	st, err := store.Open(location.Dirs{Data: root, Layers: root})
	if err != nil {
		return 2
	}
	ref, err := registry.ParseRef(name)
	if err != nil {
		return 2
	}
	var n atomic.Int64
	fsx.InjectFaults(func(string, string) error {
		if n.Add(1) == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way; go no further
		}
		return nil
	})
	if _, err := pull.Image(context.Background(), st, registry.NewClient(registry.Options{}).Source(ref), pull.Options{Parallel: 1}); err != nil {
		return 1
	}
	return 0
}

// A pull is killed at each step in turn. What is left must be nothing, or whole; nobody may have to clean up by hand.
func TestKilledAtEveryStep(t *testing.T) {
	reg := fixture.Serve(t)
	reg.Push("a:1", sample())
	for step := 1; ; step++ {
		st := newStore(t)
		cmd := exec.Command(os.Args[0]) //nolint:gosec // this test itself
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", killEnv, reg.Ref("a:1"), st.Dirs().Data, step))
		out, err := cmd.CombinedOutput()
		if err == nil {
			if step < 20 {
				t.Errorf("only %d steps", step)
			}
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.String() != "signal: killed" {
			t.Fatalf("step %d: %v: %s", step, err, out)
		}
		if img, err := st.Image(reg.Ref("a:1")); err == nil && len(st.Missing(img)) != 0 {
			t.Errorf("step %d: an image is visible without its layers", step)
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("step %d: %v", step, err)
		}
		if _, err := st.Reclaim(); err != nil {
			t.Errorf("step %d: %v", step, err)
		}
		if _, err := fetch(t, st, reg.Ref("a:1")); err != nil {
			t.Errorf("pull after one was killed at step %d: %v", step, err)
		}
		clean(t, st)
	}
}
