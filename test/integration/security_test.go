package integration_test

import (
	"strings"
	"testing"
)

// TestLoosenedAsAsked reads what the kernel says of a job that was given more than usual, and of PID 1 beside it, which never has
// anything.
func TestLoosenedAsAsked(t *testing.T) {
	const chown, kill, all = "0000000000000001", "0000000000000020", "ffffffff"
	for _, c := range []struct {
		options string
		want    map[string]string
	}{
		{"--cap-add chown", map[string]string{"CapBnd": chown, "CapPrm": chown, "CapEff": chown, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"}},
		{"--cap-add chown --cap-drop ALL -u 1000", map[string]string{"CapBnd": chown, "CapPrm": none, "CapEff": none, "NoNewPrivs": "1"}},
		{"--cap-drop ALL", map[string]string{"CapBnd": none, "CapEff": none}},
		{"--cap-add ALL", map[string]string{"CapEff": all, "CapBnd": all, "Seccomp": "2"}},
		{"--security-opt seccomp=unconfined", map[string]string{"Seccomp": "0", "NoNewPrivs": "1", "CapBnd": none}},
		{"--security-opt no-new-privileges=false", map[string]string{"NoNewPrivs": "0", "Seccomp": "2", "CapBnd": none, "CapPrm": none}},
		{"--security-opt no-new-privileges=false -u 1000 --cap-add kill", map[string]string{"NoNewPrivs": "0", "Seccomp": "2", "CapBnd": kill, "CapEff": none}},
		{"--security-opt no-new-privileges --security-opt seccomp=default", map[string]string{"NoNewPrivs": "1", "Seccomp": "2"}},
	} {
		t.Run(c.options, func(t *testing.T) {
			b, ref := busybox(t)
			run := append(append([]string{"run"}, strings.Fields(c.options)...), ref, "cat")
			status := processStatus(b.ok(append(run, "/proc/self/status")...))
			for name, want := range c.want {
				if got := status[name]; got != want && (want != all || !strings.HasSuffix(got, all)) {
					t.Errorf("the job's %s is %q, want %q", name, got, want)
				}
			}
			init := processStatus(b.ok(append(run, "/proc/1/status")...))
			for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
				if init[name] != none {
					t.Errorf("PID 1's %s is %q", name, init[name])
				}
			}
		})
	}
}

// TestOwnProfile has the kernel enforce a profile in docker's form, one of whose rules depends on a capability.
func TestOwnProfile(t *testing.T) {
	b, ref := busybox(t)
	b.file("profile.json", `{
	"defaultAction": "SCMP_ACT_ALLOW",
	"archMap": [{"architecture": "SCMP_ARCH_X86_64"}, {"architecture": "SCMP_ARCH_AARCH64"}],
	"syscalls": [
		{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "excludes": {"caps": ["CAP_CHOWN"]}},
		{"names": ["mknod", "mknodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
	]
}`)
	with := []string{"run", "--security-opt", "seccomp=profile.json"}
	if r := b.do(append(with, ref, "mkdir", "/tmp/x")...); r.code == 0 || !strings.Contains(r.stderr, "No space left") {
		t.Errorf("the profile's own error does not arrive: status %d, %s", r.code, r.stderr)
	}
	b.ok(append(with, "--cap-add", "chown", ref, "mkdir", "/tmp/x")...)
	if r := b.do(append(with, "--cap-add", "chown", ref, "mkfifo", "/tmp/x")...); r.code == 0 {
		t.Error("mkfifo works in spite of the profile")
	}
}

// TestCapabilitiesOpenTheFilter: the default profile allows some calls to those who hold a capability, and to nobody else.
func TestCapabilitiesOpenTheFilter(t *testing.T) {
	b, ref := busybox(t)
	mount := []string{ref, "mount", "-t", "tmpfs", "tmpfs", "/tmp"}
	if r := b.do(append([]string{"run"}, mount...)...); r.code == 0 {
		t.Error("a job without capabilities mounts")
	}
	b.ok(append([]string{"run", "--cap-add", "SYS_ADMIN"}, mount...)...)
}
