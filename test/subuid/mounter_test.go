package subuid_test

import "testing"

// TestWhoMayMountChangesNothing: root among several users who may mount switches users and mounts what it likes, and cannot change what was
// mounted for it; nor can those whom it becomes, in namespaces of their own. (TestTricksWork of test/integration tries more.)
func TestWhoMayMountChangesNothing(t *testing.T) {
	b, ref := database(t)
	b.ok("run", "--userns", "subuid", "-v", "kept:/kept", ref, "sh", "-c", "echo kept >/kept/file; chmod 666 /kept/file; chmod 777 /kept")
	const script = `mkdir -p /media
try() { if sh -c "$2" 2>/dev/null; then echo "worked: $1"; fi; }
try write     'echo x >>/kept/file'
try remount   'mount -o remount,rw,bind /kept'
try unmount   'umount -l /kept'
try bind      'mkdir -p /tmp/b && mount --bind /kept /tmp/b && mount -o remount,rw,bind /tmp/b'
try 'a mount namespace' 'unshare -m mount -o remount,rw,bind /kept'
try 'a user namespace' 'unshare -Urm mount -o remount,rw,bind /kept'
try 'a user' 'busybox su -s /bin/sh db -c "unshare -Urm mount -o remount,rw,bind /kept"'
try cover     'umount /proc/keys'
try 'first process' 'echo x >>/proc/1/root/kept/file'
try proc      'unshare -pf mount -t proc none /media'
set -e
mount -t tmpfs none /media
chown db:db /media
busybox su -s /bin/sh db -c 'id -u >/media/own'
stat -c %u:%g /media/own
cat /media/own /kept/file
`
	for _, more := range [][]string{{"--cap-add", "SYS_ADMIN"}, {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined"}, {"--cap-add", "ALL", "--init=false"}} {
		args := append([]string{"run", "-q", "--userns", "subuid", "-v", "kept:/kept:ro"}, more...)
		if got, want := b.ok(append(args, "--entrypoint", "sh", ref, "-c", script)...), "999:999\n999\nkept"; got != want {
			t.Errorf("%q: the job says\n%s\nwant\n%s", more, got, want)
		}
	}
}
