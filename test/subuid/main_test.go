// Package subuid_test runs the real binary as an ordinary user who has subordinate ids: images whose users are several, and
// what is left of their files.
package subuid_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/recorded"
)

func TestMain(m *testing.M) {
	end := need.LendTun()
	status := need.Subordinate(m)
	end()
	os.Exit(status)
}

// box is one user's corner: a store of its own and a working directory.
type box struct {
	t                 *testing.T
	ids               host.IDMap
	coracle, root, wd string
}

// newBox is an empty box. At its end the store is emptied with coracle's own commands, and nothing may be left in it.
func newBox(t *testing.T) *box {
	t.Helper()
	need.Overlay(t)
	dir := t.TempDir()
	b := &box{t: t, ids: need.SubIDs(t), coracle: need.Binary(t), root: filepath.Join(dir, "store"), wd: t.TempDir()}
	t.Cleanup(func() {
		b.t = t
		recorded.Check(t, b.root)
		b.ok("prune", "--all", "--force")
		b.empty("upper", "tmp", "retired", "layers/sha256")
	})
	return b
}

// database is a box with the image of database, and the image's reference.
func database(t *testing.T, change ...func(*fixture.Image)) (*box, string) {
	t.Helper()
	b := newBox(t)
	img := databaseImage(t)
	for _, f := range change {
		f(&img)
	}
	return b, b.pull(img)
}

func (b *box) pull(img fixture.Image) (ref string) {
	b.t.Helper()
	reg := fixture.Serve(b.t)
	reg.Push("db:1", img)
	b.ok("pull", "-q", reg.Ref("db:1"))
	return reg.Ref("db:1")
}

// The image of a database: a user "db" (999) with a group "ssl" (101), whose directory is closed to others, and an entrypoint
// as such images have it: root gives the directory away and becomes the user.
func databaseImage(t testing.TB) fixture.Image {
	t.Helper()
	img := fixture.Busybox(t)
	const entrypoint = `#!/bin/sh
set -e
if [ $(id -u) = 0 ]; then
	mkdir -p /var/lib/db/data && chown -R db:db /var/lib/db
	exec busybox su -s /bin/sh db -c "exec $0 $*"
fi
echo "running as $(id -u):$(id -g)"
echo row >>/var/lib/db/data/table
exec "$@"
`
	second := fixture.Hardlink("var/lib/db/seed2", "var/lib/db/seed").Own(999, 999)
	second.Mode = 0o600
	img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip,
		fixture.Dir("etc", 0o755),
		fixture.File("etc/passwd", "root:x:0:0:root:/root:/bin/sh\ndb:x:999:999::/var/lib/db:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n", 0o644),
		fixture.File("etc/group", "root:x:0:\nadm:x:4:root\nshadow:x:42:\nssl:x:101:db\ndb:x:999:\n", 0o644),
		fixture.File("etc/shadow", "root:*:19000::::::\ndb:*:19000::::::\n", 0o640).Own(0, 42),
		fixture.File("entrypoint", entrypoint, 0o755),
		fixture.Dir("var", 0o755),
		fixture.Dir("var/lib", 0o755),
		fixture.Dir("var/lib/db", 0o700).Own(999, 999),
		fixture.File("var/lib/db/seed", "seed\n", 0o600).Own(999, 999),
		second,
		fixture.Symlink("var/lib/db/link", "seed").Own(999, 999),
		fixture.Dir("var/mail", 0o2775).Own(0, 8),
	))
	return img
}

// result is how a command ended; the code is what a shell would say.
type result struct {
	code           int
	stdout, stderr string
}

func (b *box) start(args ...string) (*exec.Cmd, *result) {
	b.t.Helper()
	return b.begin(b.command(args...))
}

func (b *box) begin(cmd *exec.Cmd) (*exec.Cmd, *result) {
	b.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	return cmd, &result{}
}

// command is one that dies with the test.
func (b *box) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.coracle, args...)
	cmd.Dir = b.wd
	cmd.Env = append(os.Environ(), "CORACLE_ROOT="+b.root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func (b *box) wait(cmd *exec.Cmd, r *result) result {
	b.t.Helper()
	const limit = 2 * time.Minute
	watch := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	out, _ := cmd.Stdout.(*bytes.Buffer)
	errs, _ := cmd.Stderr.(*bytes.Buffer)
	r.stdout, r.stderr = out.String(), errs.String()
	if exit := (*exec.ExitError)(nil); !watch.Stop() || err != nil && !errors.As(err, &exit) {
		b.t.Fatalf("%s: %v: %s%s", strings.Join(cmd.Args, " "), err, r.stdout, r.stderr)
	}
	r.code = cmd.ProcessState.ExitCode()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.code = 128 + int(status.Signal())
	}
	return *r
}

func (b *box) do(args ...string) result {
	b.t.Helper()
	cmd, r := b.start(args...)
	return b.wait(cmd, r)
}

// ok is do for a command that has to succeed; it returns the standard output without spaces around it.
func (b *box) ok(args ...string) string {
	b.t.Helper()
	r := b.do(args...)
	if r.code != 0 {
		b.t.Fatalf("coracle %s: status %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// run runs a shell script in the image.
func (b *box) run(ref, script string, options ...string) string {
	b.t.Helper()
	return b.ok(append(append([]string{"run", "--userns", "subuid"}, options...), ref, "sh", "-c", script)...)
}

// empty fails the test unless there is nothing in directories of the store.
func (b *box) empty(dirs ...string) {
	b.t.Helper()
	for _, dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(b.root, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.t.Error(err)
		}
		for _, e := range entries {
			b.t.Errorf("%s is left in %s", e.Name(), dir)
		}
	}
}

// hostUID is who a user of the image is on the host.
func (b *box) hostUID(inside uint32) int {
	b.t.Helper()
	for _, r := range b.ids.UIDs {
		if inside >= r.Inside && inside-r.Inside < r.Size {
			return int(r.Host + inside - r.Inside)
		}
	}
	b.t.Fatalf("%d is not in %v", inside, b.ids)
	return -1
}
