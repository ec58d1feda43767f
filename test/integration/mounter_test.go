package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// mounter is testdata/mounter, built: a job that tries to change its mounts.
func mounter(t *testing.T) string {
	t.Helper()
	file := filepath.Join(filepath.Dir(os.Getenv(loadProgram)), "mounter")
	if _, err := os.Stat(file); err != nil {
		need.Missing(t, "mounter", err.Error())
	}
	return file
}

// hasTried is what the mounter says of tricks that worked. It is to have tried many.
func hasTried(t *testing.T, said string, many int) (worked []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(said), "\n")
	last := lines[len(lines)-1]
	tried, err := strconv.Atoi(strings.TrimPrefix(last, "tried "))
	if err != nil || tried < many {
		t.Errorf("the tricks ended with %q", last)
	}
	return lines[:len(lines)-1]
}

// TestWhoMayMountChangesNothing: a job that may mount, with all rights that it can be given, cannot change what the caller has mounted for
// it, nor look under what the runtime covers: not by its own mounts, nor by copies of them in other namespaces, nor by those of PID 1.
func TestWhoMayMountChangesNothing(t *testing.T) {
	b, ref := busybox(t)
	program := mounter(t)
	for name, options := range map[string][]string{
		"SYS_ADMIN":                {"--cap-add", "SYS_ADMIN"},
		"all":                      {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined"},
		"all, PID 1":               {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "--init=false"},
		"all, its own network":     {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "--network", "none"},
		"all, read-only":           {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "--read-only", "--tmpfs", "/tmp"},
		"all, USER":                {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "-u", "1000"},
		"all, the caller's number": {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "--userns", "host-uid"},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t, b.wd = t, t.TempDir()
			b.file("tree/ro/file", "kept\n")
			b.file("key", "k\n")
			before := look(t, filepath.Join(b.wd, "tree/ro"))
			args := []string{
				"run", "-v", program + ":/mounter:ro", "-v", "./tree/ro:/ro:ro", "-v", "./tree:/rw", "-v", "./tree/ro:/rw/ro:ro",
				"-v", "named:/named:ro", "--mount", "type=image,dst=/image,src=" + ref, "--secret", "id=key,src=key",
			}
			places := []string{"/rw/ro", "/image"}
			switch name {
			case "all":
				places = append(places, "/ro", "/named", "/run/secrets", "/sys", "/proc/sys")
			case "all, read-only":
				places = append(places, "/bin")
			}
			places = append(places, "--", "/sys/fs/cgroup", "/proc/keys")
			r := b.do(append(append(append(args, options...), ref, "/mounter"), places...)...)
			for _, line := range hasTried(t, r.stdout, 500) {
				t.Error(line)
			}
			if r.code != 0 || r.stderr != "" {
				t.Errorf("status %d: %s", r.code, r.stderr)
			}
			if after := look(t, filepath.Join(b.wd, "tree/ro")); after != before {
				t.Errorf("the host's files were changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestTricksWork: where the one who mounts is the one who tries, what the test above tries does work. A trick is not among these if it
// takes more than mounts of one's own: a file system of one's own (remounting that), a kernel that is new enough.
func TestTricksWork(t *testing.T) {
	need.Overlay(t)
	b := newBox(t)
	b.file("tree/file", "kept\n")
	const prepare = `mount --bind tree tree && mount -o remount,ro,bind tree && exec "$@"`
	cmd := b.command("-r", "-m", "-U", "sh", "-c", prepare, "sh", mounter(t), filepath.Join(b.wd, "tree"))
	cmd.Path = need.Tool(t, "unshare")
	cmd.Args[0] = "unshare"
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	worked := map[string]bool{}
	for _, line := range hasTried(t, string(out), 200) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "worked: "), " on ")
		worked[name] = true
	}
	for _, name := range []string{
		"remount the bind", "allow set-user-ID and devices", "unmount", "unmount lazily", "unmount what expires", "bind elsewhere, remount",
		"bind all elsewhere, remount", "move", "bind what is around it", "bind all, remount there", "bind all, unmount there",
		"detached copy, by descriptor", "detached copy of all, by descriptor", "set attributes", "set attributes of all",
		"allow set-user-ID by attributes", "move by descriptor", "pivot, remount", "pivot, unmount", "pivot, bind what is beneath",
		"share, unmount in another namespace", "other control groups",
	} {
		if !worked[name] {
			t.Errorf("%q does not work even where it may", name)
		}
	}
}

// TestWhoMayMountMounts: the job that was given SYS_ADMIN has what it was given for, in its own namespaces. For an overlay it takes
// DAC_OVERRIDE as well: the kernel makes a directory there that is closed to its owner.
func TestWhoMayMountMounts(t *testing.T) {
	b, ref := busybox(t)
	const script = `set -e
mkdir -p /tmp/a /tmp/b /tmp/lower /tmp/merged
mount -t tmpfs -o size=1m none /tmp/a
mkdir /tmp/a/upper /tmp/a/work
echo lower >/tmp/lower/file
mount -t overlay -o userxattr,lowerdir=/tmp/lower,upperdir=/tmp/a/upper,workdir=/tmp/a/work none /tmp/merged
echo more >>/tmp/merged/file
[ "$(cat /tmp/lower/file)" = lower ]
[ "$(cat /tmp/a/upper/file)" = "lower
more" ]
mount --bind /ro /tmp/b
[ "$(cat /tmp/b/file)" = kept ]
umount /tmp/b
mount --bind /rw /tmp/b
mount -o remount,ro,bind /tmp/b
! touch /tmp/b/new 2>/dev/null
mount -o remount,rw,bind /tmp/b
touch /tmp/b/new
umount /tmp/b
mount -t tmpfs none /ro
touch /ro/over
umount /ro
umount /tmp/merged
umount /tmp/a
unshare -m sh -c 'mount -t tmpfs none /tmp/b && touch /tmp/b/inner && umount /tmp/b'
unshare -n true
hostname renamed
[ "$(hostname)" = renamed ]
echo done`
	for name, options := range map[string][]string{
		"root": nil, "without init": {"--init=false"}, "its own network": {"--network", "none"},
		"terminal": {"-t"}, "unconfined": {"--security-opt", "seccomp=unconfined"}, "new privileges": {"--security-opt", "no-new-privileges=false"},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t, b.wd = t, t.TempDir()
			b.file("ro/file", "kept\n")
			b.dir("rw")
			args := append([]string{"run", "--cap-add", "SYS_ADMIN", "--cap-add", "DAC_OVERRIDE", "-v", "./ro:/ro:ro", "-v", "./rw:/rw"}, options...)
			if r := b.do(append(args, ref, "sh", "-c", script)...); r.code != 0 || strings.TrimSpace(r.stdout) != "done" || r.stderr != "" {
				t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
			}
			if _, err := os.Stat(filepath.Join(b.wd, "rw/new")); err != nil {
				t.Error(err)
			}
		})
	}
	// What belongs to a network of the job's own is the job's too.
	out := b.ok("run", "--network", "none", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", ref, "sh", "-c", "ip link set lo down && ip addr show lo")
	if !strings.Contains(out, "lo") || strings.Contains(out, "UP") {
		t.Errorf("the job has not changed its network: %s", out)
	}
}

// TestWhoMayMountFuse: a file system of the job's own, by a device that the caller lent it.
func TestWhoMayMountFuse(t *testing.T) {
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		need.Missing(t, "fuse", "/dev/fuse: "+err.Error())
	}
	b, ref := busybox(t)
	options := []string{"run", "--device", "/dev/fuse", "-v", mounter(t) + ":/mounter:ro"}
	command := []string{ref, "/mounter", "-fuse", "/tmp"}
	b.ok(slices.Concat(options, []string{"--cap-add", "SYS_ADMIN"}, command)...)
	if r := b.do(slices.Concat(options, command)...); r.code == 0 {
		t.Error("a job that may not mount has mounted")
	}
}
