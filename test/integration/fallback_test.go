package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// oldKernels are what kernels before some version, or the filters of a container around Coracle, lack.
var oldKernels = []struct {
	name string
	lack lacking
}{
	{"no openat2 (before 5.6)", without(unix.SYS_OPENAT2)},
	{"openat2 forbidden", failing(unix.EPERM, unix.SYS_OPENAT2)},
	{"no mount_setattr (before 5.12)", without(unix.SYS_MOUNT_SETATTR)},
	{"no new mount calls (before 5.2)", without(unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR)},
	{"new mount calls forbidden", failing(unix.EPERM, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR)},
	{"no pidfds (before 5.3)", without(unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_GETFD)},
	{"no clone3 (before 5.3)", without(unix.SYS_CLONE3)},
	{"no close_range (before 5.9)", without(unix.SYS_CLOSE_RANGE)},
	{"no faccessat2 (before 5.8)", without(unix.SYS_FACCESSAT2)},
	{"no Landlock (before 5.13)", without(unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF)},
	{"nothing newer than 5.4", without(unix.SYS_OPENAT2, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT,
		unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_GETFD, unix.SYS_CLONE3,
		unix.SYS_CLOSE_RANGE, unix.SYS_FACCESSAT2, unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF)},
}

// layeredImage is served, and has all that layers can do to each other.
func layeredImage(t *testing.T) (ref string) {
	t.Helper()
	img := fixture.Busybox(t)
	img.Layers = append(img.Layers,
		fixture.NewLayer(fixture.Gzip, fixture.Dir("srv", 0o755), fixture.File("srv/hidden", "x", 0o644), fixture.File("srv/seen", "seen\n", 0o644), fixture.Symlink("to", "srv"), fixture.Dir("opt", 0o755), fixture.File("opt/old", "", 0o644)),
		fixture.NewLayer(fixture.Zstd, fixture.Whiteout("srv", "hidden"), fixture.File("to/through", "through\n", 0o600)),
		fixture.NewLayer(fixture.Gzip, fixture.Dir("opt", 0o755), fixture.Opaque("opt"), fixture.File("opt/new", "", 0o644), fixture.Symlink("etc/group", "/srv/seen")),
	)
	reg := fixture.Serve(t)
	reg.Push("old:1", img)
	return reg.Ref("old:1")
}

// layeredScript shows what came of it; layeredWant is what USER 1000 is shown.
const (
	layeredScript = `ls /srv /opt; cat /to/through; ls /data/srv /data/opt; cat /data/to/through; (: >/data/x) 2>/dev/null || echo read-only; id -u; touch /out/made /root/made 2>/dev/null; (echo x >/in/file) 2>/dev/null || echo read-only
		grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status | tr -d '\t'; rm -r /srv && echo more >>/opt/new && cat /opt/new; exit 7`
	layeredWant = "/opt:\nnew\n\n/srv:\nseen\nthrough\n/data/opt:\nnew\n\n/data/srv:\nseen\nthrough\nread-only\n1000\nread-only\nCapEff:" + none + "\nNoNewPrivs:1\nSeccomp:2\nmore\n"
)

// layered runs the image, with itself for data and a volume that takes what it has, and holds that all is as it should be.
func (b *box) layered(ref string, l lacking, wrapper ...string) result {
	b.t.Helper()
	b.dir("out")
	b.file("in/file", "in\n")
	j := l.command(b, "run", "-q", "-u", "1000", "-v", "./out:/out", "-v", "./in:/in:ro", "-v", "kept:/opt",
		"--mount", "type=image,dst=/data,src="+ref, ref, "sh", "-c", layeredScript)
	if len(wrapper) > 0 {
		j.Args = append(wrapper, j.Args...)
		j.Path = need.Tool(b.t, wrapper[0])
	}
	if err := j.Start(); err != nil {
		b.t.Fatal(err)
	}
	r := b.wait(j)
	if r.code != 7 || r.stdout != layeredWant {
		b.t.Errorf("status %d, %q, want %q: %s", r.code, r.stdout, layeredWant, r.stderr)
	}
	b.mine("out/made")
	if kept, err := os.ReadFile(filepath.Join(b.root, "volumes/kept/data/new")); err != nil || string(kept) != "more\n" {
		b.t.Errorf("the volume has %q, %v", kept, err)
	}
	nothingLeft(b.t, b)
	return r
}

// TestOldKernels pulls and runs on kernels that lack what newer ones have: each time the image's files, links, whiteouts and users,
// volumes, confinement and the end of the job are as ever.
func TestOldKernels(t *testing.T) {
	ref := layeredImage(t)
	adopt(t)
	for _, tc := range oldKernels {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t)
			if r := b.layered(ref, tc.lack); strings.Contains(r.stderr, "warning") {
				t.Errorf("there is nothing to warn of: %s", r.stderr)
			}
		})
	}
}

// noOverlay is a kernel without overlayfs, or one that gives it to no user namespace.
func noOverlay(errno syscall.Errno) lacking {
	l := without(unix.SYS_FSOPEN)
	l.Overlay = errno
	return l
}

// outlives holds that what serves the image's files has time as long as the job has.
func (b *box) outlives(ref string) {
	b.t.Helper()
	b.dir("out")
	j := noOverlay(unix.ENODEV).command(b, "run", "-v", "./out:/out", ref, "sh", "-c", `trap 'cat /srv/seen; exit 7' TERM; : >/out/up; while :; do sleep 0.05; done`)
	if err := j.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.awaitFile(j, "out/up")
	signalTo(b.t, everyProcess(j, true), unix.SIGTERM)
	if r := b.wait(j); r.code != 7 || r.stdout != "seen\n" || !strings.Contains(r.stderr, "fuse-overlayfs shows") {
		b.t.Errorf("status %d, %q: %s", r.code, r.stdout, r.stderr)
	}
	nothingLeft(b.t, b)
}

// TestNoOverlay: where the kernel gives no overlay a program does, and where there is none the layers are copied; either is told.
func TestNoOverlay(t *testing.T) {
	ref := layeredImage(t)
	adopt(t)
	for _, errno := range []syscall.Errno{unix.ENODEV, unix.EPERM, unix.EINVAL} {
		t.Run("fuse-overlayfs instead of "+unix.ErrnoName(errno), func(t *testing.T) {
			need.Tool(t, "fuse-overlayfs")
			if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
				need.Missing(t, "fuse", "/dev/fuse: "+err.Error())
			}
			b := newBoxAt(t, filepath.Join(t.TempDir(), `colon:comma,back\slash`)) // none of which means anything
			if r := b.layered(ref, noOverlay(errno)); !strings.Contains(r.stderr, "fuse-overlayfs shows") {
				t.Errorf("it is not told: %s", r.stderr)
			}
		})
	}
	t.Run("fuse-overlayfs outlives a signal to all", func(t *testing.T) {
		need.Tool(t, "fuse-overlayfs")
		if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
			need.Missing(t, "fuse", "/dev/fuse: "+err.Error())
		}
		newBox(t).outlives(ref)
	})
	t.Run("a copy", func(t *testing.T) {
		b := newBox(t)
		// A device that is none stands in for the missing one.
		r := b.layered(ref, noOverlay(unix.ENODEV), "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount --bind /dev/null /dev/fuse; exec "$@"`, "sh")
		if !strings.Contains(r.stderr, "were copied, ") || !strings.Contains(r.stderr, "MiB in ") {
			t.Errorf("it is not told: %s", r.stderr)
		}
	})
}

// withoutFuse has a command see a device that is none in the place of FUSE's.
var withoutFuse = []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount --bind /dev/null /dev/fuse; exec "$@"`, "sh"}

// TestKeptUpperNeedsItsWay: the writable layer that a run keeps is used again in the way in which its root was made, or not at all.
func TestKeptUpperNeedsItsWay(t *testing.T) {
	ref := layeredImage(t)
	adopt(t)
	b := newBox(t)
	run := func(l lacking, wrapper []string, name, script string) result {
		t.Helper()
		j := l.command(b, "run", "--pull", "never", "--restart", "on-failure:1", "--upper", "keep:"+name, ref, "sh", "-c", script)
		if len(wrapper) > 0 {
			j.Args = append(wrapper[:len(wrapper):len(wrapper)], j.Args...)
			j.Path = need.Tool(t, wrapper[0])
		}
		if err := j.Start(); err != nil {
			t.Fatal(err)
		}
		return b.wait(j)
	}
	b.ok("pull", "-q", ref)
	const write, read = "rm /srv/seen; echo one >/written", "ls /srv/seen || echo gone; cat /written"
	again := func(r result, says string) {
		t.Helper()
		if r.code != 0 || r.stdout != "gone\none\n" || !strings.Contains(r.stderr, says) || strings.Contains(r.stderr, "were copied") {
			t.Errorf("status %d, %q, %s, want it to say %q", r.code, r.stdout, r.stderr, says)
		}
	}
	if r := run(lacking{}, nil, "overlay", write); r.code != 0 {
		t.Fatalf("status %d: %s", r.code, r.stderr)
	}
	again(run(lacking{}, nil, "overlay", read), "")
	if r := run(noOverlay(unix.ENODEV), withoutFuse, "overlay", read); r.code != 125 || !strings.Contains(r.stderr, "the writable layer was made by overlay and needs it again: ") {
		t.Errorf("without an overlay: status %d, %s", r.code, r.stderr)
	}
	again(run(lacking{}, nil, "overlay", read), "") // that has done it no harm

	if r := run(noOverlay(unix.ENODEV), withoutFuse, "copy", write); r.code != 0 || !strings.Contains(r.stderr, "were copied") {
		t.Fatalf("status %d: %s", r.code, r.stderr)
	}
	again(run(noOverlay(unix.ENODEV), withoutFuse, "copy", read), "")
	again(run(lacking{}, nil, "copy", read), "")
	again(run(noOverlay(unix.ENODEV), withoutFuse, "copy", "test -e /again || { : >/again; exit 1; }; "+read), "")

	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		need.Missing(t, "fuse", "/dev/fuse: "+err.Error())
	}
	need.Tool(t, "fuse-overlayfs")
	if r := run(noOverlay(unix.ENODEV), nil, "fuse", write); r.code != 0 {
		t.Fatalf("status %d: %s", r.code, r.stderr)
	}
	again(run(noOverlay(unix.ENODEV), nil, "fuse", read), "had none")
	again(run(lacking{}, nil, "fuse", read), "had none")
	nothingLeft(t, b)
}
