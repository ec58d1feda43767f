package integration_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestUmountAfterARun: a run's volumes can be unmounted as soon as its command has ended, though its keeper may still be at work with
// the record. Who unmounts a disk and pulls it out does so in a script, right after the run.
func TestUmountAfterARun(t *testing.T) {
	need.UserNS(t)
	unshare := need.Tool(t, "unshare")
	reg := fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	for _, tc := range []struct{ name, run string }{
		{"written to", "coracle run -v $BASE/disk:/data $REF sh -c 'echo x >/data/f'"},
		{"the job is in it", "coracle run -v $BASE/disk:/data -w /data $REF sh -c 'echo x >f; exec 5<f; true'"},
		{"with what is mounted below", "mkdir disk/sub; mount -t tmpfs none disk/sub; coracle run -v $BASE/disk:/data $REF sh -c 'cd /data/sub; echo x >f'; umount disk/sub"},
		{"something is left running", "coracle run -v $BASE/disk:/data -w /data $REF sh -c 'sleep 1000 & sleep 1000 & exit 0'"},
		{"without init", "coracle run --init=false -v $BASE/disk:/data -w /data $REF true"},
		{"the job is killed", "coracle run --timeout 100ms --stop-timeout 0 -v $BASE/disk:/data -w /data $REF sleep 1000 2>$BASE/said || true"},
		{"started in it", "(cd disk && coracle run --mount-cwd $REF sh -c 'echo x >f')"},
		{"its metrics", "coracle run -v $BASE/disk:/data -e CORACLE_METRICS=/data/m $REF sh -c 'echo \"{}\" >/data/m'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t)
			for _, dir := range []string{"home", "bin"} {
				b.dir(dir)
			}
			cmd := exec.Command(unshare, "--user", "--map-root-user", "--mount", "sh", "-ec",
				"mount --rbind $DIR /mnt; mount --bind $BIN /mnt/bin; cd /mnt; mkdir disk; coracle pull -q $REF\n"+
					"for n in 1 2 3 4 5; do mount -t tmpfs none disk; "+tc.run+"; umount disk || { echo round $n; exit 9; }; done")
			cmd.Env = []string{
				"DIR=" + b.wd, "BIN=" + filepath.Dir(b.coracle), "PATH=/mnt/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/mnt/home", "BASE=/mnt",
				"REF=" + reg.Ref("busybox:1"), "CORACLE_NO_SETTLE=1",
			}
			cmd.SysProcAttr = dieWithTests()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
