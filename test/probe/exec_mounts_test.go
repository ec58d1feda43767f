package probe_test

import (
	"strings"
	"testing"

	"github.com/coracle-run/coracle/runtime/container"
)

// TestExecSharesMounts: a job that may mount shares what it has mounted with a further process, and the other way round. Neither can
// take off what covers something, whoever it is.
func TestExecSharesMounts(t *testing.T) {
	const of = "mount -t tmpfs none /tmp && echo job >/tmp/of && "
	for _, c := range []struct {
		name, job string
		changes   []change
		user      string // of the further process
		mounts    bool   // it may mount as well
	}{
		{"root", of, []change{holding("SYS_ADMIN")}, "", true},
		{"without init", of, []change{holding("SYS_ADMIN"), withoutInit}, "", true},
		{"among others", of, []change{among, holding("SYS_ADMIN")}, "", true},
		{"another user", of, []change{holding("SYS_ADMIN")}, "1000", false},
		{"another user, among others", of, []change{among, holding("SYS_ADMIN")}, "1000", false},
		{"root beside a user", "echo job >/tmp/of && ", []change{as("1000"), holding("SYS_ADMIN")}, "0", true},
		{"root beside a user, without init", "echo job >/tmp/of && ", []change{as("1000"), holding("SYS_ADMIN"), withoutInit}, "0", true},
		{"mounts of the job's own", "exec unshare -m sh -c '" + strings.TrimSuffix(of, " && ") + "; echo ready; cat >/dev/null; cat /home/of' # ", []change{holding("SYS_ADMIN")}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := launch(t, []string{"sh", "-c", c.job + "echo ready; cat >/dev/null; cat /home/of"}, c.changes...)
			v.out.await(t, "ready")
			const script = `cat /tmp/of; umount /proc/keys 2>/dev/null && echo uncovered; mount -o remount,rw,bind /sys 2>/dev/null && echo remounted
mount -t tmpfs none /home 2>/dev/null && echo exec >/home/of && echo mounted`
			want := "job\n"
			if c.mounts {
				want += "mounted\n"
			}
			if out, _ := v.exec(container.Exec{Args: []string{"sh", "-c", script}, User: c.user}); out != want {
				t.Errorf("the further process says %q, want %q", out, want)
			}
			must(t, v.in.Close())
			v.wait()
			if said := v.out.String(); strings.HasSuffix(said, "exec\n") != c.mounts {
				t.Errorf("the job sees of the further process's mount: %q", said)
			}
		})
	}
}
