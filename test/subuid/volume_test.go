package subuid_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/test/fixture"
)

// owner is who a file of the store belongs to on the host.
func (b *box) owner(path string) (uid int) {
	b.t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(filepath.Join(b.root, path), &st); err != nil {
		b.t.Fatal(err)
	}
	return int(st.Uid)
}

// TestVolumesKeepOwners: the first run that mounts an empty volume gives it the image's files with their owners, and the next one
// finds them. In the end it is removed, whoever its files belong to.
func TestVolumesKeepOwners(t *testing.T) {
	b, ref := database(t)
	const list = `cd /var/lib/db && stat -c "%n %u:%g %a" . seed link`
	const want = ". 999:999 700\nseed 999:999 600\nlink 999:999 777"
	for _, how := range []string{"first", "second"} {
		if got := b.ok("run", "--userns", "subuid", "-v", "db:/var/lib/db", ref, "sh", "-c", list); got != want {
			t.Errorf("the %s run sees\n%s\nwant\n%s", how, got, want)
		}
	}
	if uid := b.owner("volumes/db/data"); uid != b.hostUID(999) {
		t.Errorf("the volume belongs to %d, want %d", uid, b.hostUID(999))
	}
	// A directory of others is moved, too: the keeper that does it is root among them.
	b.ok("run", "--userns", "subuid", "-v", "lib:/var/lib", ref, "true")
	if uid := b.owner("volumes/lib/data/db"); uid != b.hostUID(999) {
		t.Errorf("the directory in the volume belongs to %d, want %d", uid, b.hostUID(999))
	}
	// With one user inside, everything is the caller's.
	b.ok("run", "-v", "flat:/var/lib/db", ref, "true")
	if uid := b.owner("volumes/flat/data/seed"); uid != os.Getuid() {
		t.Errorf("the flat volume belongs to %d", uid)
	}
	b.ok("volume", "rm", "lib", "flat")
	b.ok("volume", "prune", "--all", "--force")
	if _, err := os.Lstat(filepath.Join(b.root, "volumes/db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("db is left: %v", err)
	}
	b.empty("tmp", "volumes")
}

// TestOwnVolumesGoWithTheRun: a volume without a name holds files of others, and nothing is left of it.
func TestOwnVolumesGoWithTheRun(t *testing.T) {
	b, ref := database(t)
	got := b.ok("run", "--userns", "subuid", "--read-only", "-v", "/var/lib/db", "-u", "db", ref, "sh", "-c", "cat ~/seed; echo more >~/new; stat -c %u ~/new")
	if got != "seed\n999" {
		t.Errorf("%q", got)
	}
	b.empty("upper", "tmp")
}

// TestDataImagesHaveOwners: an image that is mounted is as it is in a container of its own.
func TestDataImagesHaveOwners(t *testing.T) {
	b, ref := database(t)
	script := `stat -c "%u:%g %a" /data/var/lib/db /data/etc/shadow; cat /data/var/lib/db/seed; cat /data/etc/shadow 2>/dev/null || echo closed`
	got := b.ok("run", "--userns", "subuid", "--mount", "type=image,dst=/data,src="+ref, "-u", "db", ref, "sh", "-c", script)
	if want := "999:999 700\n0:42 640\nseed\nclosed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// An image whose deltas nobody has made yet.
	img := fixture.Busybox(t)
	img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, fixture.Dir("w", 0o711).Own(5, 6), fixture.File("w/f", "weights\n", 0o600).Own(5, 6)))
	other := b.pull(img)
	if got := b.ok("run", "--userns", "subuid", "--mount", "type=image,dst=/data,image-subpath=w,src="+other, "-u", "5", ref, "cat", "/data/f"); got != "weights" {
		t.Errorf("%q", got)
	}
}

// TestKeptUpperKeepsOwners: what several users of a run have written to its writable layer is theirs in the next one that has it.
func TestKeptUpperKeepsOwners(t *testing.T) {
	b, ref := database(t)
	keep := []string{"--upper", "keep:db"}
	b.run(ref, `echo row >/var/lib/db/table && chown db:ssl /var/lib/db/table && chmod 640 /var/lib/db/table; rm -r /home/app; chown db /srv 2>/dev/null || mkdir -m 700 /srv && chown db /srv`, keep...)
	const look = `stat -c "%n %u:%g %a" /var/lib/db/table /var/lib/db/seed; stat -c %u /srv; ls -d /home/app || echo gone`
	const want = "/var/lib/db/table 999:101 640\n/var/lib/db/seed 999:999 600\n999\ngone"
	if got := b.run(ref, look, keep...); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := b.run(ref, "cat /var/lib/db/table", append(keep, "-u", "db")...); got != "row" {
		t.Errorf("%q", got)
	}
	if uid := b.owner("kept/db/fs/srv"); uid != b.hostUID(999) {
		t.Errorf("it belongs to %d on the host, want %d", uid, b.hostUID(999))
	}
	if r := b.do("run", "--upper", "keep:db", ref, "true"); r.code != 125 || !strings.Contains(r.stderr, "made of another --userns, subuid, and this run has flat") {
		t.Errorf("with one user: status %d, %s", r.code, r.stderr)
	}
	b.killed(ref, keep)
	if got := b.run(ref, look, keep...); got != want {
		t.Errorf("after a run that was killed: %s\nwant\n%s", got, want)
	}
	b.ok("upper", "rm", "db")
	b.empty("kept", "tmp", "upper")
}

// killed is a run that ends by SIGKILL while its job, another user's, writes.
func (b *box) killed(ref string, options []string) {
	b.t.Helper()
	const said = "writing\n"
	args := append(append([]string{"run", "--userns", "subuid", "-u", "db"}, options...), ref, "sh", "-c", "echo writing; while :; do echo x >/var/lib/db/noise; done")
	cmd, r := b.start(args...)
	logged := filepath.Join(b.root, "runs/*/output.log")
	for looks := 0; !b.finds(logged, said); looks++ {
		if looks == 6000 {
			b.t.Fatalf("it does not begin: %v", b.wait(cmd, r))
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	if err := cmd.Process.Kill(); err != nil {
		b.t.Fatal(err)
	}
	if got := b.wait(cmd, r); got.code != 128+int(syscall.SIGKILL) {
		b.t.Errorf("status %d: %s", got.code, got.stderr)
	}
}

// finds reports whether a file that fits a pattern holds a text.
func (b *box) finds(pattern, text string) bool {
	b.t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && strings.Contains(string(raw), text) {
			return true
		}
	}
	return false
}
