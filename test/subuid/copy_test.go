package subuid_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCopyAmongSeveralUsers: files of the container's other users are read, with their numbers in an archive, and are the caller's on the
// host; what is copied in is root's, or with -a theirs.
func TestCopyAmongSeveralUsers(t *testing.T) {
	b, ref := database(t)
	const script = `mkdir -m 700 /private && echo secret >/private/file && chmod 600 /private/file && chown -R 999:998 /private && touch /vol/ready
while test ! -e /vol/go; do sleep 0.05; done
stat -c "%n %u:%g" /private/in /private/in/file /kept /kept/private/file && cat /private/in/file`
	if err := os.MkdirAll(filepath.Join(b.wd, "vol"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(b.wd, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.wd, "in", "file"), []byte("in"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, r := b.start("run", "--name", "several", "--userns", "subuid", "-v", b.wd+"/vol:/vol", ref, "sh", "-c", script)
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := os.Lstat(filepath.Join(b.wd, "vol", "ready")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the job has not begun after a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.ok("cp", "several:/private", "out")
	raw, err := os.ReadFile(filepath.Join(b.wd, "out", "file"))
	if err != nil || string(raw) != "secret\n" {
		t.Errorf("copied out: %q, %v", raw, err)
	}
	archive := b.ok("cp", "several:/private", "-")
	if !strings.Contains(archive, "0001747\x000001746\x00") { // 999 and 998 in octal digits: uid and gid (tar(5))
		t.Errorf("the archive names other users")
	}
	b.ok("cp", "in", "several:/private/in")
	if err := os.WriteFile(filepath.Join(b.wd, "archive"), []byte(archive), 0o600); err != nil {
		t.Fatal(err)
	}
	b.ok("cp", "in", "several:/kept")
	in := exec.Command(b.coracle, "cp", "-a", "-", "several:/kept")
	in.Dir, in.Env, in.Stdin = b.wd, append(os.Environ(), "CORACLE_ROOT="+b.root), strings.NewReader(archive)
	if out, err := in.CombinedOutput(); err != nil {
		t.Errorf("unpacking: %v: %s", err, out)
	}
	if r := b.do("cp", "several:/private/nothing", "out"); r.code != 125 || !strings.Contains(r.stderr, "no such file") {
		t.Errorf("what is not there: status %d, %s", r.code, r.stderr)
	}
	if err := os.WriteFile(filepath.Join(b.wd, "vol", "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "/private/in 0:0\n/private/in/file 0:0\n/kept 0:0\n/kept/private/file 999:998\nin"
	if got := b.wait(cmd, r); got.code != 0 || got.stdout != want {
		t.Errorf("status %d\n%s\nwant\n%s%s", got.code, got.stdout, want, got.stderr)
	}
}
