package torture

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// worker is a command that is run again and again.
type worker struct {
	args []string
	// may are what it may end with besides status 0: what another worker has done, in its own words.
	may []string
}

// TestBesideEachOther lets commands that get in each other's way run beside each other. Each may find what others have done;
// none may fail for it.
func TestBesideEachOther(t *testing.T) {
	t.Parallel()
	need.Overlay(t)
	coracle := need.Binary(t)
	limit, _ := length(t)
	reg := fixture.Serve(t)
	base := fixture.Busybox(t)
	sibling := base
	sibling.Layers = append(base.Layers[:1:1], fixture.NewLayer(fixture.Zstd, fixture.Dir("srv", 0o755), fixture.File("srv/more", "more\n", 0o644)))
	reg.Push("base:1", base)
	reg.Push("sibling:1", sibling)
	one, two := reg.Ref("base:1"), reg.Ref("sibling:1")
	const absent, inUse = "no such image in the store", "image is in use"
	workers := []worker{
		{args: []string{"pull", "-q", one}},
		{args: []string{"pull", "-q", two}},
		{args: []string{"pull", "-q", "--keep-blobs", one}},
		{args: []string{"run", "-q", one, "ls", "/bin/busybox"}},
		{args: []string{"run", "-q", two, "cat", "/srv/more"}},
		{args: []string{"rmi", one}, may: []string{absent, inUse}},
		{args: []string{"rmi", two}, may: []string{absent, inUse}},
		{args: []string{"prune", "--force"}},
		{args: []string{"prune", "--all", "--force"}},
		{args: []string{"df", "-v"}},
		{args: []string{"check"}},
		{args: []string{"check", "--repair"}},
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "store")
	t.Cleanup(func() {
		if err := fsx.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	end := time.Now().Add(limit)
	counts := make([]int, len(workers))
	excused := make([]int, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				code, out := command(t, coracle, root, w.args...)
				counts[i]++
				if code == 0 {
					continue
				}
				if !w.excuses(out) {
					t.Errorf("coracle %s: status %d: %s", strings.Join(w.args, " "), code, out)
					return
				}
				excused[i]++
			}
		})
	}
	wg.Wait()
	total := 0
	for i, w := range workers {
		total += counts[i]
		t.Logf("%5d times (%d found the work of others): coracle %s", counts[i], excused[i], strings.Join(w.args, " "))
	}
	t.Logf("%d commands in %v", total, limit)
	emptied(t, coracle, root)
}

// excuses reports whether all that a command complains of is what others have done.
func (w worker) excuses(out string) bool {
	for _, reason := range w.may {
		if strings.Contains(out, reason) {
			return true
		}
	}
	return false
}

// emptied prunes all, and sees to it that nothing is left and nothing is damaged.
func emptied(t *testing.T, coracle, root string) {
	t.Helper()
	for _, args := range [][]string{{"check"}, {"prune", "--all", "--force"}} {
		if code, out := command(t, coracle, root, args...); code != 0 {
			t.Errorf("afterwards, coracle %s: status %d: %s", strings.Join(args, " "), code, out)
		}
	}
	for _, dir := range []string{"images/refs", "images/sha256", "layers/sha256", "blobs/sha256", "retired", "upper", "locks", "tmp"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		for _, e := range entries {
			t.Errorf("left: %s", filepath.Join(dir, e.Name()))
		}
	}
}

// command runs one command to its end.
func command(t *testing.T, coracle, root string, args ...string) (code int, out string) {
	cmd := exec.Command(coracle, args...)
	cmd.Env = append(os.Environ(), "CORACLE_ROOT="+root, "CORACLE_NO_SETTLE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	watch := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer watch.Stop()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	if err != nil && cmd.ProcessState == nil {
		return -1, fmt.Sprint(err)
	}
	return cmd.ProcessState.ExitCode(), both.String()
}
