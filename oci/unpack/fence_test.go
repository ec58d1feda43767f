package unpack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fence"
	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/oci/unpack"
	"github.com/coracle-run/coracle/test/fixture"
)

// fenceEnv makes this test's own program one that unpacks in the directory it names, confined or not: that lasts.
const fenceEnv = "CORACLE_TEST_FENCE"

// misled is how often an unpacker that was made to follow a link of the archive got out by it, and how often it was refused.
type misled struct {
	Out, Refused int
	Steps        map[string]int
	Error        string // of the unpacking itself
}

// unpackMisled unpacks with the first guard broken: at each step the same goroutine also does what it would do if it resolved the
// archive's names as the kernel does by itself, through the archive's link.
func unpackMisled(dir string, confined bool) (m misled) {
	root := filepath.Join(dir, "root")
	if confined {
		if err := fence.Around(root); err != nil {
			m.Error = err.Error()
			return m
		}
	}
	m.Steps = map[string]int{}
	var mu sync.Mutex
	defer fsx.InjectFaults(func(op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		m.Steps[op]++
		fd, err := unix.Open(filepath.Join(root, "link", fmt.Sprintf("%s-%d", op, m.Steps[op])), unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		switch {
		case err == nil:
			m.Out++
			return unix.Close(fd)
		case errors.Is(err, unix.EACCES):
			m.Refused++
		}
		return nil
	})()
	_, err := unpack.Layer(context.Background(), bytes.NewReader(misleading()), root, unpack.Options{Writers: 4})
	if err != nil {
		m.Error = err.Error()
	}
	return m
}

// misleading is an archive with a link that leads out and one of each step that can be misled by it.
func misleading() []byte {
	entries := []fixture.Entry{fixture.Symlink("link", "../outside"), fixture.Dir("a", 0o755), fixture.Dir("b", 0o755)}
	for i := range 200 {
		entries = append(entries, fixture.File(fmt.Sprintf("a/%d", i), "small", 0o644))
	}
	return fixture.Tar(append(entries, fixture.File("large", string(make([]byte, 1<<20)), 0o644), fixture.Hardlink("b/across", "a/1"),
		fixture.Whiteout("b", "gone"), fixture.Opaque("b"), fixture.Fifo("pipe", 0o644), fixture.File("a/1", "again", 0o600).Xattr("user.a", "b"))...)
}

// TestFenceHoldsTheMisled: what the unpacker's own care lets through the kernel stops; without it the same attempts succeed.
func TestFenceHoldsTheMisled(t *testing.T) {
	if !fence.Possible() {
		need.Missing(t, "landlock", fmt.Sprintf("the kernel's Landlock has ABI %d", fence.ABI()))
	}
	for _, confined := range []bool{true, false} {
		t.Run(fmt.Sprintf("confined=%v", confined), func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "root"), 0o700), os.Mkdir(filepath.Join(dir, "outside"), 0o700)); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), fenceEnv+"="+dir, fmt.Sprintf("%sD=%v", fenceEnv, confined))
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			var m misled
			if err := errors.Join(err, json.Unmarshal(out, &m)); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if m.Error != "" || m.Steps["create"] < 200 || m.Steps["mkdir"] == 0 || m.Steps["link"] == 0 {
				t.Fatalf("the archive was not unpacked: %+v", m)
			}
			found, err := os.ReadDir(filepath.Join(dir, "outside"))
			if err != nil || len(found) != m.Out {
				t.Errorf("outside are %d files, %d were made: %v", len(found), m.Out, err)
			}
			if confined && (m.Out > 0 || m.Refused < 200) || !confined && (m.Out < 200 || m.Refused > 0) {
				t.Errorf("it got out %d times and was refused %d times", m.Out, m.Refused)
			}
		})
	}
}
