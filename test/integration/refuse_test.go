package integration_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// TestNoUserNamespaces forbids user namespaces by the sysctl that administrators use, inside a user namespace of the test's
// own, where that sysctl is the test's to set.
func TestNoUserNamespaces(t *testing.T) {
	b, ref := busybox(t)
	cmd := exec.Command(need.Tool(t, "unshare"), "--user", "--map-root-user", "sh", "-c",
		`echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh", b.coracle, "run", ref, "true")
	inside := b.command()
	cmd.Dir, cmd.Env, cmd.SysProcAttr = inside.Dir, inside.Env, inside.SysProcAttr
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 125 {
		t.Errorf("status %d, %v", code, err)
	}
	if text := string(out); !strings.Contains(text, "user.max_user_namespaces") || !strings.Contains(text, "hint: ") {
		t.Errorf("the message names neither the sysctl nor the next step:\n%s", text)
	}
	if err := b.leftovers(); err != nil {
		t.Error(err)
	}
}

// TestCoveredProc: inside a container that covers parts of /proc, as others do, the kernel gives no /proc to a container of one's
// own. The message says so and what can be done; without covers, a container in a container runs.
func TestCoveredProc(t *testing.T) {
	b, ref := busybox(t)
	for _, tc := range []struct {
		name, prepare string
		code          int
		says          []string
	}{
		{"covered", "mount --bind /dev/null /proc/interrupts && mount -t tmpfs none /proc/bus && ", 125,
			[]string{"/proc/interrupts, /proc/bus", "hint: ", "unmask"}},
		{"uncovered", "", 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			cmd := exec.Command(need.Tool(t, "unshare"), "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c",
				tc.prepare+`exec unshare --user --map-root-user --mount "$@"`, "sh", b.coracle, "run", ref, "cat", "/proc/1/status")
			inside := b.command()
			cmd.Dir, cmd.Env, cmd.SysProcAttr = inside.Dir, inside.Env, inside.SysProcAttr
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tc.code {
				t.Errorf("status %d, %v: %s", code, err, out)
			}
			for _, text := range tc.says {
				if !strings.Contains(string(out), text) {
					t.Errorf("the message lacks %q:\n%s", text, out)
				}
			}
			if err := b.leftovers(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCoracleInCoracle: the job of a container makes no containers, and is told why, whatever it may otherwise.
func TestCoracleInCoracle(t *testing.T) {
	b, ref := busybox(t)
	for _, tc := range []struct {
		name string
		caps []string
		says []string
	}{
		{"with nothing", nil, []string{"inside another container", "hint: "}},
		{"who may mount", []string{"--cap-add", "SYS_ADMIN"}, []string{"CAP_SETFCAP", "inside another container", "hint: ", "--cap-add SETFCAP"}},
		{"who may do everything", []string{"--cap-add", "ALL"}, []string{"inside another container, of whose /proc parts are covered", "hint: run Coracle outside of that container"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			args := append(append([]string{"run"}, tc.caps...), "-v", b.coracle+":/bin/coracle:ro", "-v", b.root+":/store", "-e", "CORACLE_ROOT=/store", ref)
			r := b.do(append(args, "coracle", "run", "--pull", "never", ref, "true")...)
			for _, text := range tc.says {
				if !strings.Contains(r.stderr, text) {
					t.Errorf("it does not say %q", text)
				}
			}
			if r.code != 125 || t.Failed() {
				t.Errorf("status %d: %s", r.code, r.stderr)
			}
			nothingLeft(t, b)
		})
	}
}

// TestRealRegistryRefuses: what a real registry says of an image that it does not have becomes one line and a hint.
func TestRealRegistryRefuses(t *testing.T) {
	b := newBox(t)
	host := realRegistry(t)
	down := freeAddress(t)
	for _, tc := range []struct{ name, ref, says string }{
		{"unknown repository", host + "/no/such:1", "no/such:1"},
		{"unknown digest", host + "/no/such@sha256:" + strings.Repeat("0", 64), "no/such"},
		{"nobody listens", down + "/x:1", down},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			for _, args := range [][]string{{"pull", tc.ref}, {"run", tc.ref, "true"}} {
				r := b.do(args...)
				lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
				if r.code != 125 || !strings.HasPrefix(lines[0], "coracle: ") || !strings.Contains(lines[0], tc.says) {
					t.Errorf("%s: status %d: %s", args[0], r.code, r.stderr)
				}
				if len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: ") {
					t.Errorf("%s: more than a line and a hint: %s", args[0], r.stderr)
				}
			}
		})
	}
}
