package integration_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestStoreTakenAway: where the directory of the store goes away under a run, be it moved, unreadable or unmounted, the job goes on and its
// status is the command's; nobody hangs, and once the store is back the record says how the job ended.
func TestStoreTakenAway(t *testing.T) {
	for _, tc := range []struct {
		name       string
		away, back func(root string) error
	}{
		{
			"moved", func(root string) error { return os.Rename(root, root+".away") },
			// A command that began after that has made another one.
			func(root string) error { return errors.Join(os.RemoveAll(root), os.Rename(root+".away", root)) },
		},
		{"unreadable", func(root string) error { return os.Chmod(root, 0) }, func(root string) error { return os.Chmod(root, 0o700) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, ref := busybox(t)
			b.dir("go")
			script := "echo up; until test -e /go/on; do sleep 0.05; done; echo last words; exit 7"
			run := b.start("run", "--name", "front", "--upper", "keep:dev", "-v", "./go:/go", ref, "sh", "-c", script)
			b.ok("run", "-d", "--name", "back", "--timeout", "5m", "-v", "./go:/go", ref, "sh", "-c", script)
			for _, name := range []string{"front", "back"} {
				waitFor(t, name+" is up", time.Minute, func() error {
					if r := b.do("logs", name); r.stdout != "up\n" {
						return errors.New(r.stdout + r.stderr)
					}
					return nil
				})
			}
			followed, waited, attached := b.start("logs", "-f", "back"), b.start("wait", "back"), b.start("attach", "--no-stdin", "back")
			if err := tc.away(b.root); err != nil {
				t.Fatal(err)
			}
			b.file("go/on", "")
			if r := b.wait(run); r.code != 7 || !strings.Contains(r.stdout, "last words") || !strings.Contains(r.stderr, "recording the result: ") || strings.Contains(r.stderr, `\n`) {
				t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
			}
			for _, j := range []*job{followed, waited, attached} { // none of them hangs; how far each had come is its own affair
				if r := b.wait(j); r.code != 0 && r.code != 7 && (r.code != 125 || r.stderr == "") {
					t.Errorf("%q: status %d: %s", j.Args[1:], r.code, r.stderr)
				}
			}
			if err := tc.back(b.root); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "both have ended", time.Minute, func() error {
				for _, r := range b.records() {
					if r.State != "exited" || r.ExitCode == nil || *r.ExitCode != 7 {
						return errors.New(r.State + " by " + r.Cause)
					}
				}
				return nil
			})
			if got := b.ok("logs", "back"); got != "up\nlast words" {
				t.Errorf("the log has %q", got)
			}
			b.ok("gc")
			b.ok("upper", "rm", "dev")
		})
	}
}
