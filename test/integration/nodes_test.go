package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// elsewhere runs a command where unshare(1), told so, and a script before it have changed what the command sees of this host.
func (b *box) elsewhere(unshare []string, script string, args ...string) result {
	b.t.Helper()
	cmd := exec.Command("unshare", slices.Concat(unshare, []string{"sh", "-c", script + ` && exec "$@"`, "sh", b.coracle}, args)...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = b.wd, append(os.Environ(), "CORACLE_ROOT="+b.root), dieWithTests()
	j := &job{Cmd: cmd}
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if err := j.Start(); err != nil {
		b.t.Fatal(err)
	}
	return b.wait(j)
}

// TestAnotherNode: a store may be shared by two hosts, as homes on NFS are, and both may have one name. Whatever commands the other host
// runs, they harm no run of this one: there nothing can be proven of it. Another node is a mount namespace in which boot and machine
// have other ids.
func TestAnotherNode(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.file("boot_id", "11111111-2222-3333-4444-555555555555\n")
	b.file("machine_id", "fedcba98765432100123456789abcdef\n")
	const script = `mount --bind boot_id /proc/sys/kernel/random/boot_id && { [ ! -e /etc/machine-id ] || mount --bind machine_id /etc/machine-id; }`
	namespaces := []string{"--user", "--map-root-user", "--mount"}
	if _, err := os.Stat("/etc/machine-id"); err != nil {
		namespaces = append(namespaces, "--uts") // else there would be nothing to tell the hosts apart
	}
	there := func(args ...string) result { return b.elsewhere(namespaces, script, args...) }

	j := b.start("run", "--name", "here", "--upper", "keep:work", "-v", "shared:/shared", ref, "sh", "-c", "echo up; exec sleep 1000")
	waitFor(t, "the job runs", patience, b.said("here", "up\n"))
	id := b.record("here").ID
	b.harmless(there)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"run", "--name", "here", ref, "true"}, "here"},
		{[]string{"upper", "rm", "work"}, "here"},
		{[]string{"runs", "rm", "here"}, "the run goes on"},
		{[]string{"volume", "rm", "shared"}, "shared"},
		{[]string{"exec", "here", "true"}, "elsewhere"},
	} {
		if r := there(c.args...); r.code != 125 || !strings.Contains(r.stderr, c.says) {
			t.Errorf("from the other node: %q: status %d: %s", c.args, r.code, r.stderr)
		}
	}
	b.lives("here", id)
	b.ok("kill", "here")
	b.wait(j)
	b.ok("upper", "rm", "work")
	nothingLeft(t, b)
}

// TestAnotherView: nor does it a run any harm how a command sees the processes and the clock of its own host.
func TestAnotherView(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	j := b.start("run", "--name", "here", ref, "sh", "-c", "echo up; exec sleep 1000")
	waitFor(t, "the job runs", patience, b.said("here", "up\n"))
	id := b.record("here").ID
	for name, namespaces := range map[string][]string{
		"a clock that is a day ahead": {"--user", "--map-root-user", "--time", "--boottime", "86400"},
		"a clock that is behind":      {"--user", "--map-root-user", "--time", "--boottime", "-1"},
		"the /proc of others":         {"--user", "--map-root-user", "--pid", "--fork"},
		"a container's processes":     {"--user", "--map-root-user", "--pid", "--fork", "--mount-proc"},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			if err := exec.Command("unshare", append(namespaces, "true")...).Run(); err != nil {
				need.Missing(t, "namespaces", strings.Join(namespaces, " ")+": "+err.Error())
			}
			if name == "the /proc of others" {
				if r := b.elsewhere(namespaces, "true", "gc"); r.code != 125 || !strings.Contains(r.stderr, "/proc is that of another pid namespace") {
					t.Errorf("gc: status %d: %s%s", r.code, r.stdout, r.stderr)
				}
				return
			}
			b.harmless(func(args ...string) result { return b.elsewhere(namespaces, "true", args...) })
		})
		b.t = t
		b.lives("here", id)
	}
	j.signal(t, unix.SIGSTOP) // a supervisor that gets no time
	b.harmless(b.do)
	j.signal(t, unix.SIGCONT)
	b.lives("here", id)
	b.ok("kill", "here")
	b.wait(j)
	nothingLeft(t, b)
}

// TestHiddenProcesses: where /proc hides what may not be traced, as on many clusters, also the processes of the caller's own are hidden of
// a program that may be executed but not be read. They live all the same.
func TestHiddenProcesses(t *testing.T) {
	b, ref := busybox(t)
	namespaces := []string{"--user", "--map-root-user", "--mount", "--pid", "--fork"}
	if out, err := exec.Command("unshare", append(namespaces, "mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc")...).CombinedOutput(); err != nil {
		need.Missing(t, "hidepid", string(out)+err.Error())
	}
	content, err := os.ReadFile(b.coracle)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(b.wd, "coracle")
	need.Program(t, program, string(content))
	if err := os.Chmod(program, 0o111); err != nil {
		t.Fatal(err)
	}
	// Root of the outer user namespace may trace everything in it; in another one below it the caller has no more than its own id.
	const script = `mount -t proc -o hidepid=2 proc /proc || exit
"$1" run -d --name here "$0" sleep 1000 >id || exit
supervisor=$(sed -n "s/^ *.pid.: \\([0-9]*\\),/\\1/p" "$CORACLE_ROOT"/runs/*/run.json)
[ -e "/proc/$supervisor/stat" ] || exit
unshare --user ls "/proc/$supervisor/stat" >seen 2>/dev/null
unshare --user "$1" gc --json >gc; unshare --user "$1" ps --format "{{.Names}}" >ps
"$1" kill here && "$1" wait here`
	cmd := exec.Command("unshare", append(namespaces, "sh", "-c", script, ref, program)...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = b.wd, append(os.Environ(), "CORACLE_ROOT="+b.root), dieWithTests()
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "here\n137\n" {
		t.Fatalf("%s%v", out, err)
	}
	if seen := b.read("seen"); seen != "" {
		t.Errorf("nothing is hidden: %q", seen)
	}
	if got := b.read("ps"); got != "here\n" {
		t.Errorf("ps says %q", got)
	}
	wentNothing(t, b.read("gc"))
	nothingLeft(t, b)
}

// read is a file of the working directory.
func (b *box) read(name string) string {
	b.t.Helper()
	raw, err := os.ReadFile(filepath.Join(b.wd, name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

// said looks whether a job has said something.
func (b *box) said(name, what string) func() error {
	return func() error {
		if r := b.do("logs", name); r.stdout != what {
			return fmt.Errorf("status %d: %q %s", r.code, r.stdout, r.stderr)
		}
		return nil
	}
}

// harmless has commands run that take away what the dead have left, and those that close their records.
func (b *box) harmless(do func(args ...string) result) {
	b.t.Helper()
	for _, args := range [][]string{{"gc", "--dry-run", "--json"}, {"ps"}, {"runs"}, {"runs", "show", "here"}, {"images"}, {"gc", "--json"}, {"prune", "--force"}} {
		r := do(args...)
		if r.code != 0 {
			b.t.Errorf("coracle %q: status %d: %s", args, r.code, r.stderr)
		}
		if args[0] == "gc" {
			wentNothing(b.t, r.stdout)
		}
	}
}

// wentNothing fails the test where gc --json has removed anything.
func wentNothing(t *testing.T, out string) {
	t.Helper()
	var got struct {
		Uppers, Temps, Retired []struct{ Name string }
		Records                []string
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Uppers)+len(got.Temps)+len(got.Retired)+len(got.Records) > 0 {
		t.Errorf("gc: %v: %s", err, out)
	}
}

// lives fails the test unless a run goes on, with all that it needs.
func (b *box) lives(name, id string) {
	b.t.Helper()
	if got := b.ok("exec", name, "sh", "-c", "echo x >/written && cat /written"); got != "x" {
		b.t.Errorf("in the job: %q", got)
	}
	if v := b.record(name); v.ID != id || v.State != "running" {
		b.t.Errorf("the record says %+v", v)
	}
	if _, err := os.Lstat(filepath.Join(b.root, "upper", id, "lease.json")); err != nil {
		b.t.Error(err)
	}
}
