package integration_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// onSmallDisk runs a shell script in which coracle has its store, with $REF in it, on a disk of its own with these options of tmpfs, at
// /mnt/disk. It returns what the script prints.
func onSmallDisk(t *testing.T, options, script string) string {
	t.Helper()
	need.UserNS(t)
	unshare := need.Tool(t, "unshare")
	reg := fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	b := newBox(t)
	for _, dir := range []string{"home", "bin", "disk"} {
		b.dir(dir)
	}
	cmd := exec.Command(unshare, "--user", "--map-root-user", "--mount", "sh", "-ec",
		"mount --rbind $DIR /mnt; mount --bind $BIN /mnt/bin; mount -t tmpfs -o "+options+" none /mnt/disk; cd /mnt/home; coracle pull -q $REF >/dev/null\n"+script)
	cmd.Env = []string{
		"DIR=" + b.wd, "BIN=" + filepath.Dir(b.coracle), "PATH=/mnt/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/mnt/home",
		"CORACLE_ROOT=/mnt/disk/store", "REF=" + reg.Ref("busybox:1"), "CORACLE_NO_SETTLE=1",
	}
	cmd.SysProcAttr = dieWithTests()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestJobFillsTheDisk: of a job that fills the disk of the store, or uses up its inodes, the record says how it ended, its last words are
// kept, its layer too where that was asked for, and what comes after works once there is room.
func TestJobFillsTheDisk(t *testing.T) {
	const bytes, inodes = "dd if=/dev/zero of=/big bs=64k 2>/dev/null", "mkdir /i && cd /i && seq 9999 | xargs touch 2>/dev/null"
	for _, tc := range []struct{ name, fill string }{{"bytes", bytes}, {"inodes", inodes}} {
		t.Run(tc.name, func(t *testing.T) {
			// Where it waits for the record the kernel may still have to give back what the layer had.
			out := onSmallDisk(t, "size=24m,nr_inodes=2000", `
				show() { coracle runs show --json "$1" | grep -E '"(exit_code|cause|dropped)"' | tr -d '\n '; echo; }
				room() { n=0; until coracle run -q $REF true 2>/dev/null; do n=$((n+1)); test $n -lt 300; sleep 0.1; done; }
				job='echo first; `+tc.fill+`; echo last words; exit 7'
				coracle run --upper keep:dev $REF sh -c "$job" && exit 9 || echo "status $?"
				show last
				coracle logs last
				coracle upper ls | sed -n 's/^\([a-z]*\) .*/kept \1/p'
				coracle gc >/dev/null
				coracle upper rm dev
				room
				id=$(coracle run -d --name det --timeout 5m $REF sh -c "$job")
				echo "waited $(coracle wait det)"
				show det
				coracle logs det
				room
				find /mnt/disk/store/tmp /mnt/disk/store/upper /mnt/disk/store/runs/*/room -mindepth 1 2>/dev/null | sed 's/^/left: /'
			`)
			ended := `"exit_code":7,"cause":"exited","dropped":0`
			for _, want := range []string{"status 7\n", "last words\n", "kept dev\n", "waited 7\n"} {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if n := strings.Count(out, ended); n != 2 {
				t.Errorf("%d of 2 records say how the job ended", n)
			}
			for _, not := range []string{"recording the", "left: "} {
				if strings.Contains(out, not) {
					t.Errorf("it says %q", not)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}
