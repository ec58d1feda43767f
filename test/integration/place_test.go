package integration_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestWhereImagesLeadMounts: an image may have links and odd files where something is to be mounted. Such a mount covers nothing of
// the runtime's, and what cannot be done is said in terms of the container.
func TestWhereImagesLeadMounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		entry  fixture.Entry
		volume string // where it is mounted in the container
		says   string // of the error; "": it works
	}{
		{"a link to a directory", fixture.Symlink("data", "var/data"), "/data", ""},
		{"a link to /dev", fixture.Symlink("data", "/dev"), "/data", "/data: in this image that leads to /dev, which belongs to the runtime"},
		{"a link to the root", fixture.Symlink("data", "tmp/.."), "/data", "leads to /, which belongs"},
		{"a link into /sys", fixture.Symlink("data", "../../sys"), "/data/fs/cgroup", "leads to /sys/fs/cgroup, which belongs"},
		{"a file", fixture.File("data", "", 0o644), "/data", "/data: a directory cannot be mounted there: in the image it is a file"},
		{"below a file", fixture.File("data", "", 0o644), "/data/sub/x", "/data/sub/x: nothing can be mounted there: in the image /data is a file"},
		{"a device", fixture.Dir("data", 0o755), "/dev/null", "/dev/null: a directory cannot be mounted there: in every container it is a file"},
		{"a link of /dev", fixture.Dir("data", 0o755), "/dev/stdin", "/dev/stdin: in this image that leads to /dev/stdin, which belongs to the runtime"},
		{"a long name", fixture.Dir("data", 0o755), "/" + strings.Repeat("n", 256), "nnn: file name too long"},
		{"a long path", fixture.Dir("data", 0o755), strings.Repeat("/nnnnnnnnn", 420), "nnn: file name too long"},
		{"hosts is a directory", fixture.Dir("etc/hosts", 0o755), "/data", "/etc/hosts: a file cannot be mounted there: in the image it is a directory"},
		{"hosts is a link without end", fixture.Symlink("etc/hosts", "hosts"), "/data", "/etc/hosts: the image has a link there that leads nowhere"},
		{"hosts is memory", fixture.Symlink("etc/hosts", "/proc/1/mem"), "/data", "/etc/hosts: in this image that leads to /proc/1/mem"},
		{"hosts is a link to what is not there", fixture.Symlink("etc/hosts", "../run/hosts"), "/data", ""},
		{"hosts is a pipe", fixture.Fifo("etc/hosts", 0o644), "/data", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ref := busybox(t, func(im *fixture.Image) { im.Layers = append(im.Layers, fixture.NewLayer(fixture.Gzip, c.entry)) })
			b.file("volume/content", "here\n")
			r := b.do("run", "-v", b.wd+"/volume:"+c.volume, ref, "sh", "-c", "cat "+c.volume+"/content; [ -f /etc/hosts ] && [ -c /dev/null ] && echo fine")
			if c.says == "" {
				if r.code != 0 || r.stdout != "here\nfine\n" {
					t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
				}
				return
			}
			if r.code != 125 || !strings.Contains(r.stderr, c.says) || strings.Contains(r.stderr, b.root) || strings.Contains(r.stderr, "/dev/pts") {
				t.Errorf("status %d: %s", r.code, r.stderr)
			}
		})
	}
}

// TestNoCgroups: where no cgroup file system is mounted, as in a fresh /sys, jobs run all the same.
func TestNoCgroups(t *testing.T) {
	b, ref := busybox(t)
	inNew := func(command string, args ...string) *exec.Cmd {
		args = append([]string{"--user", "--map-root-user", "--mount", "--net", "sh", "-c", "mount -t sysfs none /sys && " + command, "sh"}, args...)
		cmd, inside := exec.Command(need.Tool(t, "unshare"), args...), b.command()
		cmd.Dir, cmd.Env, cmd.SysProcAttr = inside.Dir, inside.Env, inside.SysProcAttr
		return cmd
	}
	if out, err := inNew("true").CombinedOutput(); err != nil {
		need.Missing(t, "sysfs", "it cannot be mounted in a network namespace of one's own: "+string(out))
	}
	if out, err := inNew(`exec "$@"`, b.coracle, "run", ref, "echo", "fine").CombinedOutput(); err != nil || !strings.Contains(string(out), "fine") {
		t.Errorf("%v: %s", err, out)
	}
}
