package inside_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// mountHomes has the kernel serve a directory by NFS and mounts it from there, twice: as two nodes of a cluster have it, each of which
// asks the server. It returns the two homes of the user, and what they are homes of on the server.
func mountHomes(t *testing.T, s *sailor) (one, other, served string) {
	t.Helper()
	root := newSailor(t, "root", bare)
	must := func(args ...string) {
		t.Helper()
		if r := root.shell(args...); r.code != 0 {
			t.Fatalf("%q: %d: %s%s%s", args, r.code, r.stdout, r.stderr, root.shell("journalctl", "-b", "--no-pager", "-n", "30").stdout)
		}
	}
	account := s.account()
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		t.Fatal(err)
	}
	const homes = "/srv/homes"
	served = filepath.Join(homes, s.user)
	if err := errors.Join(
		os.MkdirAll(homes, 0o755), os.Mkdir(served, 0o700), os.Chown(served, uid, uid), os.MkdirAll("/etc/nfs.conf.d", 0o755),
		os.WriteFile("/etc/nfs.conf.d/test.conf", []byte("[nfsd]\ngrace-time=10\nlease-time=10\n"), 0o644), // nobody is to wait for clients of before
		os.WriteFile("/etc/exports", []byte(homes+" 127.0.0.1(rw,root_squash,fsid=0,no_subtree_check,insecure)\n"), 0o644),
		os.MkdirAll("/nodes/n1", 0o755), os.MkdirAll("/nodes/n2", 0o755),
	); err != nil {
		t.Fatal(err)
	}
	must("systemctl", "start", "nfs-server")
	t.Cleanup(func() { must("systemctl", "stop", "nfs-server") })
	for _, node := range []string{"n1", "n2"} {
		must("mount", "-t", "nfs4", "-o", "nosharecache", "127.0.0.1:/", "/nodes/"+node)
		t.Cleanup(func() { must("umount", "/nodes/"+node) })
	}
	return "/nodes/n1/" + s.user, "/nodes/n2/" + s.user, served
}

// TestHomeOnNFS: where homes are on NFS, records and images are kept there and seen from every node, layers and what jobs write are on the
// node; many runs at once fetch an image once; and who is killed is known to be, wherever one looks from.
func TestHomeOnNFS(t *testing.T) {
	s := newSailor(t, "plain", bare)
	one, other, served := mountHomes(t, s)
	s.env = []string{"HOME=" + one, "XDG_RUNTIME_DIR="}
	there := *s // the same user on another node
	there.env = []string{"HOME=" + other, "XDG_RUNTIME_DIR="}
	data, layers := filepath.Join(served, ".local/share/coracle"), "/var/tmp/coracle-"+s.account().Uid
	t.Cleanup(func() { newSailor(t, "root", bare).shell("rm", "-rf", layers) })

	t.Run("the first runs", func(t *testing.T) {
		results := make([]result, 4)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() {
				results[i] = s.do("run", "-q", "-v", one+":/home", busybox, "sh", "-c", fmt.Sprintf("echo %d >/home/wrote.%d; echo x >/file; cat /home/wrote.%d", i, i, i))
			})
		}
		all.Wait()
		told := 0
		for i, r := range results {
			if r.code != 0 || strings.TrimSpace(r.stdout) != strconv.Itoa(i) {
				t.Errorf("run %d: %+v", i, r)
			}
			told += strings.Count(r.stderr, "layers are kept in "+layers+", because ")
		}
		if told == 0 {
			t.Errorf("where the layers are is not told: %+v", results)
		}
		if r := s.do("run", "-q", busybox, "true"); r.code != 0 || r.stderr != "" {
			t.Errorf("the next run has something to say: %+v", r)
		}
		for path, want := range map[string]bool{data + "/runs": true, data + "/images": true, data + "/layers": false, data + "/upper": false, layers + "/layers": true} {
			if _, err := os.Stat(path); (err == nil) != want {
				t.Errorf("%s: %v, want it there: %t", path, err, want)
			}
		}
	})
	t.Run("from another node", func(t *testing.T) {
		j := s.start("--name", "afloat", busybox, "sh", "-c", "echo here; exec sleep 1000")
		for _, from := range []*sailor{s, &there} {
			if got := from.ok("ps", "-q"); got == "" || strings.Contains(got, "\n") {
				t.Errorf("%s: ps says %q", from.env[0], got)
			}
		}
		if got := s.ok("exec", "afloat", "echo", "aye"); got != "aye" { // by a socket, which is not kept at home
			t.Errorf("a command in it says %q", got)
		}
		if r := there.do("run", "-q", "--name", "afloat", busybox, "true"); r.code != 125 || !strings.Contains(r.stderr, "afloat") {
			t.Errorf("another one has its name: %+v", r)
		}
		there.ok("stop", "afloat")
		if err := j.cmd.Wait(); j.cmd.ProcessState.ExitCode() != 143 {
			t.Errorf("it was stopped, and ended with %v", err)
		}
		if v := there.shown("afloat"); v.State != "exited" || v.Cause != "stopped" {
			t.Errorf("%+v", v)
		}
		if got := there.ok("logs", "afloat"); got != "here" { // while it is written, it is seen where it is written
			t.Errorf("its log is %q", got)
		}
	})
	t.Run("killed", func(t *testing.T) {
		j := s.start("--name", "adrift", busybox, "sh", "-c", "echo here; exec sleep 1000")
		if err := syscall.Kill(j.pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = j.cmd.Wait()
		await(t, "its end", func() error {
			if v := there.shown("adrift"); v.State != "lost" {
				return fmt.Errorf("%+v", v)
			}
			return nil
		})
		s.ok("run", "-q", busybox, "true") // removes what is left
		if left, err := filepath.Glob(layers + "/upper/*"); err != nil || len(left) > 0 {
			t.Errorf("left: %q, %v", left, err)
		}
	})
}
