package hostile_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/hostile"
)

// box is one user's corner: a store with an innocent image in it, a home, and canaries.
type box struct {
	t       *testing.T
	dir     string // box/{store,home,tmp,run,outside,...}
	coracle string
	before  map[string]string
}

// newBox is a fresh box. Its check, which the caller calls last, fails the test when a canary has changed.
func newBox(t *testing.T) *box {
	t.Helper()
	need.Overlay(t)
	b := &box{t: t, dir: t.TempDir(), coracle: need.Binary(t)}
	t.Cleanup(func() { makeRemovable(t, b.dir) })
	for _, dir := range []string{"home/.ssh", "tmp", "run", "outside/dir"} {
		mustDo(t, os.MkdirAll(b.path(dir), 0o700))
	}
	for _, file := range []string{"above", "home/.bashrc", "home/.ssh/authorized_keys", "tmp/victim", "outside/victim", "outside/dir/victim"} {
		mustDo(t, os.WriteFile(b.path(file), []byte("untouched"), 0o640))
	}
	mustDo(t, os.Symlink("victim", b.path("outside/link")))
	mustDo(t, syscall.Mkfifo(b.path("outside/fifo"), 0o600))
	mustDo(t, os.Link(b.path("outside/victim"), b.path("outside/twin")))
	copyTree(t, template(t), b.path("store"))
	b.before = b.canaries()
	return b
}

// of is the box for a test inside of the one it was made for.
func (b *box) of(t *testing.T) *box {
	inner := *b
	inner.t = t
	return &inner
}

func (b *box) path(elem ...string) string { return filepath.Join(append([]string{b.dir}, elem...)...) }

// makeRemovable: overlayfs leaves work/work with mode 0.
func makeRemovable(t *testing.T, dir string) {
	t.Helper()
	for _, work := range []string{"work", "work/incompat", "work/incompat/volatile"} {
		found, err := filepath.Glob(filepath.Join(dir, "*", "work", work))
		mustDo(t, err)
		for _, made := range found {
			mustDo(t, os.Chmod(made, 0o700))
		}
	}
}

// copyTree copies directories and files with their modes. Extended attributes and times are of no matter here.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	mustDo(t, filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Mkdir(filepath.Join(to, rel), info.Mode().Perm())
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), raw, info.Mode().Perm())
	}))
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shared is what is made once for all boxes.
var shared struct {
	sync.Once
	dir string
}

// template is a store that holds one innocent image.
func template(t *testing.T) string {
	t.Helper()
	shared.Do(func() {
		// Unlike t.TempDir, it outlives this test; the stage it is in goes with the tests.
		dir, err := os.MkdirTemp("", "template-") //nolint:usetesting // see above
		mustDo(t, err)
		reg := fixture.Serve(t)
		reg.Push("innocent:1", fixture.Image{Layers: []fixture.Layer{fixture.NewLayer(fixture.Gzip,
			fixture.Dir("etc", 0o755), fixture.File("etc/passwd", "innocent", 0o644), fixture.File("victim", "innocent", 0o644))}})
		b := &box{t: t, dir: dir, coracle: need.Binary(t)}
		if got := b.run("pull", reg.Ref("innocent:1")); got.Code != 0 {
			t.Fatalf("pulling the innocent image: status %d: %s", got.Code, got.stderr)
		}
		shared.dir = b.path("store")
	})
	if shared.dir == "" {
		t.Fatal("the innocent image could not be pulled; see the first test that failed")
	}
	return shared.dir
}

// command is coracle in the box.
func (b *box) command(args ...string) launch {
	env := []string{"CORACLE_ROOT=" + b.path("store"), "CORACLE_NO_SETTLE=1", "HOME=" + b.path("home"), "TMPDIR=" + b.path("tmp"),
		"XDG_RUNTIME_DIR=" + b.path("run"), "PATH=/usr/bin:/bin"}
	return launch{Argv: append([]string{b.coracle}, args...), Dir: b.dir, Env: env}
}

func (b *box) run(args ...string) taken {
	b.t.Helper()
	return b.command(args...).do(b.t)
}

// canaries are everything in the box that must not change, as one line each. Of the store it is what the innocent image is.
func (b *box) canaries() map[string]string {
	b.t.Helper()
	seen := map[string]string{}
	add := func(dir string) {
		nodes, err := hostile.Walk(dir, true)
		mustDo(b.t, err)
		for _, n := range nodes {
			n.Room = 0 // changes by itself while the kernel writes a file back
			seen[filepath.Join(dir, n.Path)] = fmt.Sprintf("%+v", n)
		}
	}
	for _, dir := range []string{"above", "home", "tmp", "outside"} {
		add(b.path(dir))
	}
	for _, kept := range b.innocent() {
		add(kept)
	}
	return seen
}

// innocent are the paths in a store that belong to its first image.
func (b *box) innocent() []string {
	var all []string
	for _, pattern := range []string{"images/refs/*", "images/sha256/*", "layers/sha256/*"} {
		found, err := filepath.Glob(filepath.Join(template(b.t), pattern))
		mustDo(b.t, err)
		if len(found) == 0 {
			b.t.Fatalf("the store has no %s", pattern)
		}
		for _, path := range found {
			rel, err := filepath.Rel(template(b.t), path)
			mustDo(b.t, err)
			all = append(all, b.path("store", rel))
		}
	}
	return all
}

// check fails the test when a canary has changed, appeared or gone, or when a temporary file was left behind.
func (b *box) check() {
	b.t.Helper()
	after := b.canaries()
	for _, path := range slices.Sorted(maps.Keys(b.before)) {
		if after[path] != b.before[path] {
			b.t.Errorf("a canary has changed: %s\nbefore %s\nafter  %s", path, b.before[path], after[path])
		}
	}
	for path := range after {
		if b.before[path] == "" {
			b.t.Errorf("something has appeared: %s", path)
		}
	}
	if left, err := filepath.Glob(b.path("store", "tmp", "*")); err != nil || len(left) > 0 {
		b.t.Errorf("temporary files were left behind: %q, %v", left, err)
	}
}

// added are the names below a directory of the store that the innocent image does not have.
func (b *box) added(dir string) (names []string) {
	b.t.Helper()
	found, err := os.ReadDir(b.path("store", dir))
	mustDo(b.t, err)
	for _, f := range found {
		if !slices.Contains(b.innocent(), b.path("store", dir, f.Name())) {
			names = append(names, f.Name())
		}
	}
	return names
}

// wantStatus fails the test unless the command ended as it should, within its budget, and said nothing that a terminal acts
// upon.
func (b *box) wantStatus(got taken, code int, budget hostile.Budget) {
	b.t.Helper()
	if got.Code != code {
		b.t.Errorf("status %d, want %d: %s%s", got.Code, code, got.stdout, got.stderr)
	}
	budget = budget.OrDefault()
	if got.CPU > budget.CPU || got.Memory > budget.Memory {
		b.t.Errorf("took %v and %d MiB, at most %v and %d MiB are allowed", got.CPU, got.Memory>>20, budget.CPU, budget.Memory>>20)
	}
	b.harmless(got.stdout + got.stderr)
	if n := len(lastError(got.stderr)); n > 4096 {
		b.t.Errorf("a message of %d bytes", n)
	}
	if code == 125 && (!strings.HasPrefix(lastError(got.stderr), "coracle: ") || strings.Contains(got.stderr, "goroutine ")) {
		b.t.Errorf("the failure is not told as one: %s", got.stderr)
	}
}

// harmless fails the test for text that a terminal acts upon.
func (b *box) harmless(text string) {
	b.t.Helper()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 }) {
		b.t.Errorf("a terminal would act upon this: %q", text)
	}
}

// lastError is the line that tells the failure.
func lastError(stderr string) (last string) {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "coracle: ") {
			last = line
		}
	}
	return last
}
