package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReboot: what a host that went down has left is known by its boot id, whoever has the process ids by then. The next boot is a
// mount namespace in which the kernel's id of the boot is another one.
func TestReboot(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	boot := filepath.Join(b.wd, "boot_id")
	b.file("boot_id", "11111111-2222-3333-4444-555555555555\n")
	again := func(args ...string) string {
		t.Helper()
		const script = `mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"`
		cmd := exec.Command("unshare", append([]string{"--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", boot, b.coracle}, args...)...)
		cmd.Dir, cmd.Env, cmd.SysProcAttr = b.wd, append(os.Environ(), "CORACLE_ROOT="+b.root), dieWithTests()
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("after the reboot: coracle %s: %v: %s", strings.Join(args, " "), err, &errs)
		}
		return string(out)
	}
	j := b.start("run", "--name", "before", "-v", "shared:/shared", ref, "sh", "-c", "head -c 5000 /dev/zero >/written; echo up; sleep 1000")
	waitFor(t, "the job runs", patience, func() error {
		if r := b.do("logs", "before"); r.stdout != "up\n" {
			return fmt.Errorf("status %d: %q %s", r.code, r.stdout, r.stderr)
		}
		return nil
	})
	id := b.record("before").ID
	if err := j.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	b.wait(j)
	goneInASecond(t, "the host went down")

	var would, did struct {
		Uppers  []struct{ Name string }
		Records []string
	}
	for _, c := range []struct {
		args []string
		got  any
	}{{[]string{"gc", "--dry-run", "--json"}, &would}, {[]string{"gc", "--json"}, &did}} {
		if err := json.Unmarshal([]byte(again(c.args...)), c.got); err != nil {
			t.Fatal(err)
		}
	}
	if len(would.Uppers) != 1 || would.Uppers[0].Name != id || len(would.Records) != 1 || would.Records[0] != id || len(did.Uppers) != 1 || len(did.Records) != 1 {
		t.Errorf("gc would remove %+v and removed %+v, of run %s", would, did, id)
	}
	var lost struct{ State, Cause, Message string }
	if err := json.Unmarshal([]byte(again("runs", "show", id, "--json")), &lost); err != nil {
		t.Fatal(err)
	}
	if lost.State != "lost" || lost.Cause != "lost" || lost.Message != "The host was restarted, or went down, while the run went on." {
		t.Errorf("the record says %+v", lost)
	}
	again("volume", "rm", "shared") // its lease is no one's
	nothingLeft(t, b)
}

// TestRebootUnderALivingProcess: a lease of another boot is nobody's, also when a process has the pid and the start time by chance.
func TestRebootUnderALivingProcess(t *testing.T) {
	b, ref := busybox(t)
	j := b.start("run", "--name", "before", ref, "sleep", "1000")
	var lease string
	waitFor(t, "it has its writable layer", patience, func() error {
		found, err := filepath.Glob(filepath.Join(b.root, "upper", "*", "lease.json"))
		if err == nil && len(found) != 1 {
			err = os.ErrNotExist
		}
		lease = strings.Join(found, "")
		return err
	})
	raw, err := os.ReadFile(lease)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	owner, _ := members["owner"].(map[string]any)
	members["run"] = "" // which has a lease of its own
	owner["boot_id"] = "11111111-2222-3333-4444-555555555555"
	if raw, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(b.root, "upper", "01BX5ZZKBKACTAV9WEVGEMMVRZ")
	if err := os.Mkdir(copied, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "lease.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	b.ok("gc")
	if _, err := os.Lstat(copied); !os.IsNotExist(err) {
		t.Errorf("what is of another boot is left: %v", err)
	}
	if _, err := os.Lstat(lease); err != nil {
		t.Errorf("the lease of the living run: %v", err)
	}
	b.ok("kill", "before")
	b.wait(j)
}
