package subuid_test

import (
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
)

// TestConfined reads what the kernel says of the job and of PID 1, which keeps the power to end processes of others.
func TestConfined(t *testing.T) {
	const (
		none, kill, root = "0000000000000000", "0000000000000020", "00000000000001fb"
		chown, chroot    = "0000000000000001", "00000000000401fb"
	)
	b, ref := database(t)
	for _, c := range []struct {
		options string
		want    map[string]string
	}{
		{"", map[string]string{"CapPrm": root, "CapEff": root, "CapBnd": root, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"}},
		{"-u db", map[string]string{"CapPrm": none, "CapEff": none, "CapBnd": none, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"}},
		{"--cap-drop ALL", map[string]string{"CapPrm": none, "CapBnd": none}},
		{"--cap-drop ALL --cap-add chown", map[string]string{"CapPrm": chown, "CapBnd": chown}},
		{"--cap-add sys_chroot", map[string]string{"CapPrm": chroot, "CapBnd": chroot, "Seccomp": "2"}},
		{"--security-opt no-new-privileges=false -u db", map[string]string{"CapPrm": none, "NoNewPrivs": "0", "Seccomp": "2"}},
		{"--security-opt no-new-privileges=false", map[string]string{"CapPrm": root, "NoNewPrivs": "0", "Seccomp": "2"}},
	} {
		t.Run(c.options, func(t *testing.T) {
			b.t = t
			status := map[string]string{}
			for line := range strings.Lines(b.run(ref, "cat /proc/self/status", strings.Fields(c.options)...)) {
				name, value, _ := strings.Cut(line, ":")
				status[name] = strings.TrimSpace(value)
			}
			for name, want := range c.want {
				if status[name] != want {
					t.Errorf("the job's %s is %q, want %q", name, status[name], want)
				}
			}
		})
	}
	if got := b.run(ref, "grep ^Cap /proc/1/status", "--cap-add", "ALL"); strings.Count(got, kill) != 3 || strings.Count(got, none) != 2 {
		t.Errorf("PID 1 has %s", got)
	}
}

// TestOutOfReach: neither root inside nor another user has more of the host than the caller has.
func TestOutOfReach(t *testing.T) {
	b, ref := database(t)
	const script = `for f in /proc/kcore /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/sys/kernel/core_pattern; do
		[ -c "$f" ] && continue # covered by /dev/null
		(echo h >>$f) 2>/dev/null && echo "$f can be written"; done
	mount -t tmpfs none /tmp 2>/dev/null && echo mounts
	unshare -Ur true 2>/dev/null && echo "user namespaces"
	mknod /tmp/mem c 1 1 2>/dev/null && echo devices
	cat /proc/1/environ >/dev/null 2>&1 && echo "PID 1's memory"
	(echo x >>/proc/1/mem) 2>/dev/null && echo "PID 1's memory"
	kill -9 1; readlink /proc/1/fd/3 >/dev/null 2>&1 && echo "PID 1's descriptors"
	true`
	for _, user := range []string{"root", "db"} {
		if got := b.run(ref, script+" 2>/dev/null", "-u", user); got != "" {
			t.Errorf("%s could do this: %s", user, got)
		}
	}
}

// TestSetIDBits: those of the image's files never come to the disk, whoever they belong to; what the job sets has no effect
// (no_new_privs).
func TestSetIDBits(t *testing.T) {
	layer := fixture.NewLayer(fixture.Gzip, fixture.File("su", "x", 0o6755).Own(999, 999), fixture.File("wall", "x", 0o2755).Own(0, 5))
	b, ref := database(t, func(im *fixture.Image) { im.Layers = append(im.Layers, layer) })
	if got := b.run(ref, "stat -c %a /su /wall"); got != "755\n755" {
		t.Errorf("modes %q", got)
	}
	b.ok("check")
}
