package subuid_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

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
