package integration_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/test/fixture"
)

// oldKernels are what kernels before some version, or the filters of a container around Coracle, lack.
var oldKernels = []struct {
	name string
	lack lacking
}{
	{"no openat2 (before 5.6)", without(unix.SYS_OPENAT2)},
	{"openat2 forbidden", lacking{unix.SYS_OPENAT2: unix.EPERM}},
	{"no mount_setattr (before 5.12)", without(unix.SYS_MOUNT_SETATTR)},
	{"no new mount calls (before 5.2)", without(unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR)},
	{"new mount calls forbidden", lacking{unix.SYS_FSOPEN: unix.EPERM, unix.SYS_FSCONFIG: unix.EPERM, unix.SYS_FSMOUNT: unix.EPERM, unix.SYS_MOVE_MOUNT: unix.EPERM, unix.SYS_OPEN_TREE: unix.EPERM, unix.SYS_MOUNT_SETATTR: unix.EPERM}},
	{"no pidfds (before 5.3)", without(unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_GETFD)},
	{"no clone3 (before 5.3)", without(unix.SYS_CLONE3)},
	{"no close_range (before 5.9)", without(unix.SYS_CLOSE_RANGE)},
	{"no faccessat2 (before 5.8)", without(unix.SYS_FACCESSAT2)},
	{"no Landlock (before 5.13)", without(unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF)},
	{"nothing newer than 5.4", without(unix.SYS_OPENAT2, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT,
		unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_GETFD, unix.SYS_CLONE3,
		unix.SYS_CLOSE_RANGE, unix.SYS_FACCESSAT2, unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF)},
}

// TestOldKernels pulls and runs on kernels that lack what newer ones have: each time the image's files, links, whiteouts and users,
// volumes, confinement and the end of the job are as ever.
func TestOldKernels(t *testing.T) {
	img := fixture.Busybox(t)
	img.Layers = append(img.Layers,
		fixture.NewLayer(fixture.Gzip, fixture.Dir("srv", 0o755), fixture.File("srv/hidden", "x", 0o644), fixture.File("srv/seen", "seen\n", 0o644), fixture.Symlink("to", "srv")),
		fixture.NewLayer(fixture.Zstd, fixture.Whiteout("srv", "hidden"), fixture.File("to/through", "through\n", 0o600)),
		fixture.NewLayer(fixture.Gzip, fixture.Opaque("home"), fixture.File("home/new", "", 0o644), fixture.Symlink("etc/group", "/srv/seen")),
	)
	reg := fixture.Serve(t)
	reg.Push("old:1", img)
	ref := reg.Ref("old:1")
	adopt(t)
	for _, tc := range oldKernels {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t)
			b.dir("out")
			b.file("in/file", "in\n")
			script := `ls /srv /home; cat /to/through; id -u; touch /out/made /root/made 2>/dev/null; (echo x >/in/file) 2>/dev/null || echo read-only
				grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status | tr -d '\t'; exit 7`
			want := "/home:\nnew\n\n/srv:\nseen\nthrough\n1000\nread-only\nCapEff:" + none + "\nNoNewPrivs:1\nSeccomp:2\n"
			r := tc.lack.do(b, "run", "-q", "-u", "1000", "-v", "./out:/out", "-v", "./in:/in:ro", ref, "sh", "-c", script)
			if r.code != 7 || r.stdout != want {
				t.Errorf("status %d, %q, want %q: %s", r.code, r.stdout, want, r.stderr)
			}
			if strings.Contains(r.stderr, "warning") {
				t.Errorf("there is nothing to warn of: %s", r.stderr)
			}
			b.mine("out/made")
			nothingLeft(t, b)
		})
	}
}
