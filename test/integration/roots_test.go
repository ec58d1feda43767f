package integration_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestRootsOnOtherFilesystems puts the home, and the places beside it, on file systems that cannot do all that a store wants,
// mounted in a namespace of the test's own: each time the image runs all the same, or one line says what is wrong.
func TestRootsOnOtherFilesystems(t *testing.T) {
	need.UserNS(t)
	unshare := need.Tool(t, "unshare")
	img := fixture.Busybox(t)
	reg := fixture.Serve(t)
	reg.Push("busybox:1", img)
	const run = "coracle run -q $REF sh -c 'echo works; /bin/busybox true'"
	for _, c := range []struct {
		name   string
		script string // in $BASE, with $HOME and /var/tmp below it
		code   int
		says   []string // on both outputs
	}{
		{"no attributes (ramfs)", "mount -t ramfs none $HOME; " + run + "; " + run, 0,
			[]string{"layers are kept in /var/tmp/coracle-0, because ", "(ramfs) cannot hold layers: no user extended attributes", "works\nworks"}},
		{"an overlay", "mkdir l u w; mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w none $HOME; " + run, 0,
			[]string{"/var/tmp/coracle-0", "(overlay) cannot hold layers: no overlay whiteouts", "works"}},
		{"noexec, nodev, nosuid", "mount -t tmpfs -o noexec,nodev,nosuid none $HOME; " + run, 0, []string{"works"}},
		{"the scheduler's directory", "mount -t ramfs none $HOME; mkdir job; mount -t tmpfs -o size=64g none job; SLURM_TMPDIR=$BASE/job " + run, 0,
			[]string{"layers are kept in ", "/job/coracle-0", "works"}},
		{"nowhere", "mount -t ramfs none $HOME; mount -t ramfs none /var/tmp; TMPDIR= " + run, 125,
			[]string{"coracle: run: no directory can hold image layers: ", "/var/tmp/coracle-0 (ramfs) cannot hold layers", "\nhint: name a directory on a local disk"}},
		{"a read-only home", "mount -t tmpfs -o ro none $HOME; " + run, 125, []string{"read-only file system", "\nhint: choose a directory that you may write to"}},
		{"a read-only store", run + " >/dev/null; mount --bind $HOME $HOME; mount -o remount,ro,bind $HOME; " + run, 125, []string{"read-only file system", "\nhint: "}},
		{"a small disk", "mount -t tmpfs -o size=300k none $HOME; " + run, 125, []string{"\nhint: "}},
		{"few inodes", "mount -t tmpfs -o nr_inodes=60 none $HOME; " + run, 125, []string{"\nhint: "}},
		{"a small disk for layers", "mkdir layers; mount -t tmpfs -o size=300k none layers; CORACLE_LAYERS=$BASE/layers " + run + "; coracle --layers $BASE/layers prune -f", 0,
			[]string{"coracle: ", "\nhint: ", "Total reclaimed space"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			for _, dir := range []string{"home", "vartmp", "bin"} {
				b.dir(dir)
			}
			// The test's own directory may be below /var/tmp, and goes from view with it: it is seen at /mnt.
			cmd := exec.Command(unshare, "--user", "--map-root-user", "--mount", "sh", "-c",
				"mount --rbind $DIR /mnt && mount --bind $BIN /mnt/bin && mount --bind /mnt/vartmp /var/tmp && cd /mnt && "+c.script)
			cmd.Env = []string{
				"DIR=" + b.wd, "BIN=" + filepath.Dir(b.coracle), "PATH=/mnt/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/mnt/home", "BASE=/mnt",
				"REF=" + reg.Ref("busybox:1"), "CORACLE_NO_SETTLE=1",
			}
			cmd.SysProcAttr = dieWithTests()
			out, _ := cmd.CombinedOutput() // the status is looked at
			t.Logf("%s", out)
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("status %d, want %d: %s", code, c.code, out)
			}
			for _, text := range c.says {
				if !strings.Contains(string(out), text) {
					t.Errorf("%q is not in:\n%s", text, out)
				}
			}
			if strings.Count(string(out), "layers are kept in") > 1 {
				t.Errorf("said more than once:\n%s", out)
			}
			if lines := strings.Count(string(out), "\n"); c.code != 0 && lines > 2 {
				t.Errorf("%d lines, want one of error and one of hint:\n%s", lines, out)
			}
		})
	}
}
