package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// seen is one line of mountinfo (proc_pid_mountinfo(5)).
type seen struct{ device, target string }

func mountinfo(t *testing.T, text string) (mounts []seen) {
	t.Helper()
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 10 {
			t.Fatalf("no line of mountinfo: %q", line)
		}
		mounts = append(mounts, seen{fields[2], fields[4]})
	}
	return mounts
}

// TestKeepersFilesAreHidden: a volume that is the host's root directory or its /dev does not bring along what the keeper has mounted
// there in its own mount namespace: the container's root, its /dev, /etc/hosts, secrets. They have file systems of their own, which can
// be told.
func TestKeepersFilesAreHidden(t *testing.T) {
	b, ref := busybox(t)
	b.file("key", "CaNaRy")
	for name, target := range map[string]string{"link": "/", "devices": "/dev"} {
		if err := os.Symlink(target, filepath.Join(b.wd, name)); err != nil {
			t.Fatal(err)
		}
	}
	for lack, lacks := range map[string]lacking{"": {}, ", no mount_setattr": without(unix.SYS_MOUNT_SETATTR)} {
		for i, options := range [][]string{
			{"-v", "/:/x"},
			{"-v", "/:/x:ro", "--userns", "root"},
			{"-v", "./link:/x", "-u", "1000"},
			{"-v", "/dev:/x/dev"},
			{"-v", "./devices/:/x/dev", "--userns", "host-uid", "--init=false"},
			{"-v", "/proc/self/root:/x", "-v", "/dev:/y"},
			{"--mount", "type=bind,src=/,dst=/x,bind-propagation=rslave"},
		} {
			if lack != "" && i > 1 {
				break // two are enough
			}
			t.Run(strings.Join(options, " ")+lack, func(t *testing.T) {
				b := *b
				b.t = t
				args := append([]string{"run", "-q", "--secret", "id=key,src=key"}, options...)
				j := lacks.command(&b, append(args, ref, "sh", "-c", "cat /proc/self/mountinfo; ls -A /x/dev/pts >&2")...)
				if err := j.Start(); err != nil {
					t.Fatal(err)
				}
				r := b.wait(j)
				if r.code != 0 {
					t.Fatalf("status %d: %s", r.code, r.stderr)
				}
				checkHidden(t, mountinfo(t, r.stdout))
				for _, name := range strings.Fields(r.stderr) {
					if slices.Contains([]string{"root", "etc", "dev", "state", "secrets", "around"}, name) {
						t.Errorf("the job sees %s of the keeper", name)
					}
				}
			})
		}
	}
	// The last one is the keeper's working directory, which is there as well.
	for _, source := range []string{"/dev/pts", "./devices/pts", "/proc/self/cwd"} {
		if r := b.do("run", "-v", source+":/x", ref, "ls", "-A", "/x"); r.code != 125 || !strings.Contains(r.stderr, "/dev/pts belongs to the runtime") {
			t.Errorf("%s: status %d: %s%s", source, r.code, r.stdout, r.stderr)
		}
	}
}

// checkHidden compares the file systems below the volumes with those that the keeper has made for the container.
func checkHidden(t *testing.T, mounts []seen) {
	t.Helper()
	own := map[string]string{}
	for _, m := range mounts {
		if slices.Contains([]string{"/", "/dev", "/dev/pts", "/etc/hosts", "/run/secrets"}, m.target) {
			own[m.device] = m.target
		}
	}
	if len(own) != 5 {
		t.Fatalf("the container's file systems: %v", own)
	}
	below := 0
	for _, m := range mounts {
		if !strings.HasPrefix(m.target, "/x") && !strings.HasPrefix(m.target, "/y") {
			continue
		}
		below++
		if what := own[m.device]; what != "" {
			t.Errorf("%s is the container's %s", m.target, what)
		}
	}
	if below == 0 {
		t.Error("there is no volume")
	}
}

// TestUnmountAfterARun: what is mounted below a volume can be unmounted by whoever has mounted it as soon as the run has ended, however
// the job used it; and while it runs where the job does not.
func TestUnmountAfterARun(t *testing.T) {
	b, ref := busybox(t)
	b.dir("tree/sub")
	const rounds = 4
	// As on a host, what is unmounted there is unmounted in the mount namespaces that came of it.
	const script = `mount -t tmpfs none tree/sub && echo x >tree/sub/file || exit
"$@" </dev/null || exit
umount tree/sub && ! test -e tree/sub/file`
	for i := range rounds {
		for name, lacks := range map[string]lacking{"at once": {}, "one by one": without(unix.SYS_MOUNT_SETATTR)} {
			j := lacks.command(b, "run", "-q", "-v", "./tree:/data", "-v", "./tree/sub:/sub:ro", ref, "sh", "-c",
				"cd /data/sub; exec 3<file 4>new; sleep 600 & (cd /sub; exec sleep 600) & exit 0")
			j.Args = append([]string{"unshare", "--user", "--map-root-user", "--mount", "--propagation", "shared", "sh", "-c", script, "sh"}, j.Args...)
			j.Path = need.Tool(t, "unshare")
			if err := j.Start(); err != nil {
				t.Fatal(err)
			}
			if r := b.wait(j); r.code != 0 {
				t.Fatalf("%s, round %d: status %d: %s", name, i, r.code, r.stdout+r.stderr)
			}
		}
	}
}
