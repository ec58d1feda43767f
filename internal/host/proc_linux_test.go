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
