package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFilterProblem(t *testing.T) {
	for text, want := range map[string]bool{"NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n": true, "NoNewPrivs:\t0\nSeccomp:\t0\n": false} {
		path := filepath.Join(t.TempDir(), "status")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := filterProblem(path); (err != nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// put writes a file of the kernel's into a fixture of /proc or /sys.
func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestModules: a profile of AppArmor's is named, and a context of SELinux's, where they are in force.
func TestModules(t *testing.T) {
	for _, c := range []struct{ file, text, names string }{
		{"current", "docker-default (enforce)\n", "docker-default"},
		{"apparmor/current", "/usr/bin/shell (enforce)\n", "/usr/bin/shell"},
		{"current", "unconfined\n", ""},
		{"current", "lenient (complain)\n", ""},
		{"current", "unconfined_u:unconfined_r:unconfined_t:s0\x00", ""},
	} {
		dir := t.TempDir()
		put(t, dir, c.file, c.text)
		if got := profileProblem(dir); (got != nil) != (c.names != "") || got != nil && !strings.Contains(got.Error(), c.names) {
			t.Errorf("%q: %v", c.text, got)
		}
	}
	for enforce, want := range map[string]bool{"1": true, "0": false} {
		dir := t.TempDir()
		current := put(t, dir, "current", "user_u:user_r:user_t:s0\x00")
		if got := selinuxProblem(put(t, dir, "enforce", enforce), current); (got != nil) != want || want && !strings.HasSuffix(got.Error(), "user_t:s0") {
			t.Errorf("enforce %s: %v", enforce, got)
		}
	}
}

// TestRootProblem: only root who could make a namespace, and not be root of it, is told so.
func TestRootProblem(t *testing.T) {
	for _, c := range []struct {
		held string
		uid  int
		want bool
	}{
		{"0000000000200000", 0, true}, {"0000000000200000", 1000, false}, {"0000000080200000", 0, false},
		{"0000000000000000", 0, false}, {"000001ffffffffff", 0, false},
	} {
		status := put(t, t.TempDir(), "status", "CapPrm:\t0000000000000000\nCapEff:\t"+c.held+"\n")
		if got := rootProblem(status, c.uid); (got != nil) != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestChrootProblem reads what is mounted where: in a chroot nothing is on the root.
func TestChrootProblem(t *testing.T) {
	const rest = "23 28 0:22 / /proc rw,nosuid shared:14 - proc proc rw\n"
	dir := t.TempDir()
	if got := chrootProblem(put(t, dir, "outside", "28 1 8:1 / / rw - ext4 /dev/sda1 rw\n"+rest)); got != nil {
		t.Errorf("outside of one: %v", got)
	}
	if got := chrootProblem(put(t, dir, "inside", rest)); got == nil {
		t.Error("a chroot is not seen")
	}
}

func TestCoveredProc(t *testing.T) {
	const mountinfo = `22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
23 28 0:22 / /proc rw,nosuid shared:14 - proc proc rw
35 23 0:31 / /proc/sys/fs/binfmt_misc rw shared:16 - autofs systemd-1 rw
91 23 0:5 /null /proc/kcore rw,nosuid - devtmpfs devtmpfs rw
92 23 0:49 / /proc/scsi ro - tmpfs tmpfs ro
93 28 0:50 / /procession rw - tmpfs tmpfs rw
`
	if got := coveredProc(strings.NewReader(mountinfo)); !slices.Equal(got, []string{"/proc/kcore", "/proc/scsi"}) {
		t.Errorf("%q", got)
	}
}

func TestMountsBelow(t *testing.T) {
	const mountinfo = `30 28 0:21 / /data rw - nfs server:/data rw
31 30 0:22 / /data/a\040b rw - ext4 /dev/x rw
32 30 0:22 / /database rw - ext4 /dev/x rw
`
	for dir, want := range map[string][]string{"/data": {"/data/a b"}, "/": {"/data", "/data/a b", "/database"}, "/data/a b": nil, "/database": nil} {
		if got, err := mountsBelow(strings.NewReader(mountinfo), dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q (%v), want %q", dir, got, err, want)
		}
	}
	if got, err := MountsBelow("/"); err != nil || !slices.Contains(got, "/proc") {
		t.Errorf("below /: %q, %v", got, err)
	}
}
