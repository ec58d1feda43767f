package integration_test

import (
	"strings"
	"testing"
)

// A command line that begins with "run" has its keeper cloned before Go boots; with a flag before, Go starts it. The job sees no
// difference.
func TestBothRoadsToAKeeper(t *testing.T) {
	b, ref := busybox(t)
	const look = "grep -E '^(Uid|Cap|NoNewPrivs|Seccomp):' /proc/self/status; ls /dev; cat /etc/hostname; ls /proc/self/fd"
	early := b.ok("run", ref, "sh", "-c", look)
	late := b.ok("--layers", b.root, "run", ref, "sh", "-c", look)
	if early != late || !strings.Contains(early, "Seccomp:\t2") {
		t.Errorf("cloned early:\n%s\nstarted by Go:\n%s", early, late)
	}
}

// What a job leaves in its writable layer is gone soon after its end, however much it is.
func TestMuchIsSweptBehind(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.ok("run", ref, "sh", "-c", `d=; for n in 1 2 3 4 5 6 7 8 9 10; do d=$d/d$n; mkdir $d; for m in $(seq 500); do : >$d/$m; done; done; chmod 0 /d1/d2`)
	nothingLeft(t, b)
}
