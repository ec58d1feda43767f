package probe_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/runtime/seccomp"
)

// peer is another runtime that runs the probe as this ordinary user, on the host's network as Coracle does.
type peer struct {
	name, what string
	command    func(t *testing.T, root, canary string) *exec.Cmd
}

var peers = []peer{
	{"crun", "a bundle as `crun spec --rootless` makes it, without capabilities, with Coracle's seccomp profile", crun},
	{"podman", "`podman run --network host --cgroups disabled`, all else as it comes", podman},
}

// accepted are the findings in which Coracle is looser than a peer, and why.
var accepted = map[string]map[line]string{
	"crun": whole(),
	"podman": whole(
		because("moby's profile, which Coracle's is made of, allows it; the kernel lets nobody without capabilities over the host say anything there", line{"call", "socket: audit"}),
		because("what machine learning on several memory nodes needs", line{"call", "set_mempolicy_home_node"}),
		because("as docker has it; some programs map memory there to execute it", line{"mount", "/dev"}),
	),
}

func whole(more ...map[line]string) map[line]string {
	all := because("a mount of one device, as docker has it; some compilers want to execute what they map from /dev/zero",
		line{"mount", "/dev/full"}, line{"mount", "/dev/null"}, line{"mount", "/dev/random"}, line{"mount", "/dev/tty"}, line{"mount", "/dev/urandom"}, line{"mount", "/dev/zero"})
	more = append(more, because("the mask is /dev/null, which takes what is written to it", line{"mount", "/proc/keys"}, line{"mount", "/proc/timer_list"}))
	for _, m := range more {
		maps.Copy(all, m)
	}
	return all
}

func because(reason string, lines ...line) map[line]string {
	m := map[line]string{}
	for _, l := range lines {
		m[l] = reason
	}
	return m
}

// TestBesidePeers: nowhere does Coracle let a job do or see what another runtime does not, but for a reason.
func TestBesidePeers(t *testing.T) {
	need.Overlay(t)
	m := here(t)
	ours := m.plain(newBoat(t).probe(t, modes[0]))
	columns := []report{m.plain(m.outside), ours}
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			need.Tool(t, p.name)
			if hybrid() {
				need.Missing(t, p.name, "it starts nothing where there are both versions of cgroups")
			}
			theirs := m.plain(run(t, p.command(t, unpacked(t), canary(t))))
			columns = append(columns, theirs)
			for _, l := range ours.lines() {
				reason, known := accepted[p.name][l]
				switch is := looser(l, ours, theirs); {
				case is && !known:
					t.Errorf("looser than %s: %s = %s, there %q", p.name, l, ours[l], theirs[l])
				case known && !is && !m.lacks(l):
					t.Errorf("no longer looser than %s: %s (%s)", p.name, l, reason)
				}
			}
		})
	}
	if *update && len(columns) == 2+len(peers) {
		write(t, "README.md", table(columns))
	}
}

// hybrid: the machine has a tree of cgroups v2 beside those of version 1. Without it, for instance after
// `unshare -m` and `umount /sys/fs/cgroup/unified`, the peers run.
func hybrid() bool {
	var fs syscall.Statfs_t
	const cgroup2 = 0x63677270 // linux/magic.h
	return syscall.Statfs("/sys/fs/cgroup/unified", &fs) == nil && fs.Type == cgroup2
}

// looser reports whether what is found in one container is more than what is found in another.
func looser(l line, ours, theirs report) bool {
	a, b := ours[l], theirs[l]
	_, there := theirs[l]
	switch l.group {
	case "capabilities":
		return bits(a)&^bits(b) != 0
	case "place":
		return isOpen(a) && there && !isOpen(b) && b != "denied ENOENT"
	case "readable", "escape", "call", "neighbour":
		return isOpen(a) && there && !isOpen(b)
	case "init":
		return isOpen(a) && there && !isOpen(b) // what is not there is the job itself, which can do all of this
	case "writable", "descriptor":
		return !there
	case "device":
		return strings.HasSuffix(a, "open") && !strings.HasSuffix(b, "open")
	case "namespace":
		return a == "the host's" && b == "private"
	case "mount":
		return there && slices.ContainsFunc(restraints, func(flag string) bool { return has(b, flag) && !has(a, flag) })
	case "process":
		switch l.key {
		case "no_new_privs", "seccomp mode":
			return a < b
		case "cgroup's path":
			return a != b && b == "/"
		}
	}
	return false
}

func isOpen(value string) bool {
	return strings.HasPrefix(value, "open") || strings.HasPrefix(value, "by ")
}

func bits(mask string) uint64 {
	n, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return 0 // not told
	}
	return n
}

// has reports whether a mount has a flag.
func has(mount, flag string) bool {
	return slices.Contains(strings.FieldsFunc(mount, func(r rune) bool { return r == ' ' || r == ',' }), flag)
}

// unpacked is the root file system of the tests, as a directory.
func unpacked(t *testing.T) string {
	t.Helper()
	return root(t).Layers[0]
}

func crun(t *testing.T, root, canary string) *exec.Cmd {
	t.Helper()
	bundle := t.TempDir()
	cmd := exec.Command("crun", "spec", "--rootless")
	cmd.Dir = bundle
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("crun spec: %v: %s", err, out)
	}
	file := filepath.Join(bundle, "config.json")
	var s specs.Spec
	must(t, json.Unmarshal([]byte(text(t, file)), &s))
	profile, ok := seccomp.Profile(runtime.GOARCH)
	if !ok {
		t.Fatal("no profile")
	}
	s.Process.Terminal, s.Process.Args, s.Process.Capabilities = false, []string{"/probe", canary}, &specs.LinuxCapabilities{}
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace })
	s.Process.NoNewPrivileges, s.Linux.Seccomp, s.Root.Path, s.Root.Readonly = true, profile, root, false
	raw, err := json.Marshal(s)
	must(t, err)
	must(t, os.WriteFile(file, raw, 0o644))
	return exec.Command("crun", "--cgroup-manager", "disabled", "--root", t.TempDir(), "run", "--bundle", bundle, "probe"+strconv.Itoa(os.Getpid()))
}

func podman(t *testing.T, root, canary string) *exec.Cmd {
	t.Helper()
	short, err := os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "p") //nolint:usetesting // podman takes no long path
	must(t, err)
	t.Cleanup(func() { endPodman(t); _ = os.RemoveAll(short) })
	return exec.Command("podman", "--root", t.TempDir(), "--runroot", short, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
		"run", "--rm", "--cgroups", "disabled", "--network", "host", "--rootfs", root, "/probe", canary)
}

// endPodman ends the process with which rootless podman keeps its user namespace.
func endPodman(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "libpod", "tmp", "pause.pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	must(t, err)
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.HasPrefix(string(name), "podman") {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}
