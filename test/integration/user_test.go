package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
)

// asUser gives the busybox image a USER.
func asUser(user string) func(*fixture.Image) {
	return func(im *fixture.Image) { im.Config.User = user }
}

// TestImageUserIsTheCaller: whoever the image wants to be, it is that inside, owns its home, and what it writes to a volume
// belongs to the caller.
func TestImageUserIsTheCaller(t *testing.T) {
	for _, tc := range []struct{ user, id, home string }{
		{"1000", "1000", "/home/app"},
		{"1000:1000", "1000", "/home/app"},
		{"app", "1000", "/home/app"},
		{"", "0", "/root"},
		{"root", "0", "/root"},
		{"65534", "65534", "/tmp"},
	} {
		t.Run("USER "+tc.user, func(t *testing.T) {
			b, ref := busybox(t, asUser(tc.user))
			b.dir("out")
			script := `id -u; touch ` + tc.home + `/new /out/file && stat -c %u ` + tc.home + `/new /out/file`
			got := strings.Fields(b.ok("run", "-v", b.wd+"/out:/out", ref, "sh", "-c", script))
			if want := []string{tc.id, tc.id, tc.id}; strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("ids inside %q, want %q", got, want)
			}
			b.mine("out/file")
		})
	}
}

func TestHomeOfTheImageUser(t *testing.T) {
	b, ref := busybox(t, asUser("1000"))
	got := b.ok("run", ref, "sh", "-c", `cat $HOME/.profile; echo more >>$HOME/.profile; mkdir -p $HOME/.cache/x; echo $HOME`)
	if want := "# app's\n/home/app"; got != want {
		t.Errorf("the job says %q, want %q", got, want)
	}
}

func TestRootInsideIsNobodyOutside(t *testing.T) {
	b, ref := busybox(t)
	b.ok("run", ref, "sh", "-c", `echo x >/etc/new && echo y >/root/new && rm /etc/passwd && mkdir /opt`)
	// The image below is as it was.
	if got := b.ok("run", ref, "sh", "-c", "ls /etc/new /root/new /opt 2>/dev/null; wc -l </etc/passwd"); got != "3" {
		t.Errorf("the next run sees %q", got)
	}
}

// canaryOfHome makes a file in the home directory of who runs the tests, which goes with the test.
func canaryOfHome(t *testing.T) string {
	t.Helper()
	file, err := os.CreateTemp(os.Getenv("HOME"), "coracle-test-canary-")
	if err == nil {
		t.Cleanup(func() { _ = os.Remove(file.Name()) })
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

func TestHostHomeIsNotVisible(t *testing.T) {
	b, ref := busybox(t)
	canary := canaryOfHome(t)
	if got := b.ok("run", ref, "sh", "-c", "ls -a "+filepath.Dir(canary)+" 2>/dev/null; echo $HOME"); got != "/root" {
		t.Errorf("the job sees %q", got)
	}
}

func TestVolumes(t *testing.T) {
	b, ref := busybox(t)
	b.file("data/in", "in\n")
	b.dir("out")
	r := b.do("run", "-v", "./data:/data:ro", "-v", b.wd+"/out:/out", "--mount", "type=tmpfs,target=/scratch", ref, "sh", "-c",
		`cat /data/in; echo x >/scratch/f && cat /scratch/f; echo y >/data/in || echo no write; rm /data/in || echo no rm; echo z >/out/f`)
	if r.code != 0 || r.stdout != "in\nx\nno write\nno rm\n" {
		t.Errorf("status %d: %q %q", r.code, r.stdout, r.stderr)
	}
	b.mine("out/f")
	if raw, err := os.ReadFile(filepath.Join(b.wd, "data", "in")); err != nil || string(raw) != "in\n" {
		t.Errorf("the read-only file holds %q, %v", raw, err)
	}
}
