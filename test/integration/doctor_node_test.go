package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/need"
)

// env adds variables to a command's; NAME alone takes one away.
func env(list ...string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		for _, v := range list {
			if name, _, ok := strings.Cut(v, "="); !ok {
				cmd.Env = lessOne(cmd.Env, name)
			} else {
				cmd.Env = append(cmd.Env, v)
			}
		}
	}
}

// lessOne is an environment without a variable.
func lessOne(environ []string, name string) (kept []string) {
	for _, v := range environ {
		if !strings.HasPrefix(v, name+"=") {
			kept = append(kept, v)
		}
	}
	return kept
}

// TestDoctorNamesWhatIsLittle breaks one thing of a node after the other, in namespaces and limits of the test's own: the line of the doctor
// names it and what mends it, and by whom.
func TestDoctorNamesWhatIsLittle(t *testing.T) {
	b := newBox(t)
	user := need.Tool(t, "id")
	out, err := exec.Command(user, "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	login := strings.TrimSpace(string(out))
	lists, mended := (func(*exec.Cmd))(nil), "administrator: usermod --add-subuids "
	if _, err := host.SubordinateIDs(); err == nil {
		// Who has some is without them in a namespace of its own, and cannot be given any there.
		lists = inside(t, "mount --bind /dev/null /etc/subuid && mount --bind /dev/null /etc/subgid", "--user", "--map-current-user", "--keep-caps", "--mount")
		mended = "you: run Coracle outside of "
	}
	for _, tc := range []struct {
		name         string
		change       func(*exec.Cmd)
		check, state string
		words        []string
	}{
		{"no subordinate ids", lists, "subordinate-ids", "note", []string{"user " + login + " has no subordinate ids in /etc/subuid", mended}},
		{"locked memory", limited("-l 64"), "memlock", "note", []string{"64KiB", "RDMA", "administrator: the lines", "/etc/security/limits.d"}},
		{"locked memory, by Slurm", both(env("SLURM_JOB_ID=7"), limited("-l 64")), "memlock", "note", []string{"PropagateResourceLimitsExcept=MEMLOCK"}},
		{"open files", limited("-n 256"), "open-files", "warning", []string{"256 open files", "administrator: ", "hard nofile"}},
		{"processes", limited("-u 3000"), "processes", "warning", []string{"3000 processes", "administrator: ", "hard nproc"}},
		{"processes, by oneself", limited("-S -u 3000"), "processes", "warning", []string{"3000 processes", "you: ulimit -u "}},
		{"shared memory", env("SLURM_JOB_ID=7", "SLURM_MEM_PER_NODE=512"), "shm", "warning", []string{"256MiB", "bus error", "you: run --shm-size"}},
		{"no runtime directory", env("XDG_RUNTIME_DIR"), "runtime-dir", "note", []string{"not set", "you: export XDG_RUNTIME_DIR=/run/user/"}},
		{"a runtime directory that is gone", env("XDG_RUNTIME_DIR=/run/user/no-such"), "runtime-dir", "note", []string{"is not there", "you: unset"}},
		{"another's runtime directory", env("XDG_RUNTIME_DIR=/usr"), "runtime-dir", "warning", []string{"belongs to user 0", "you: unset"}},
		{"the session ends its processes", inside(t, loginScope, mounting...), "login", "note", []string{"KillUserProcesses=yes", "you: loginctl enable-linger"}},
		{"the service manager does", inside(t, managerScope, mounting...), "login", "note", []string{"with your last session", "you: loginctl enable-linger"}},
		{"a batch job that is over", env("SLURM_JOB_ID=7", "SLURM_JOB_END_TIME=1000000000"), "batch", "warning", []string{"Slurm", "time is over", "--time"}},
		{"a filter", func(cmd *exec.Cmd) { failing(unix.EPERM, unix.SYS_ACCT).wrap(t, cmd) }, "seccomp", "note", []string{"inside another container", "you: ", "seccomp=unconfined"}},
		{"an older kernel", func(cmd *exec.Cmd) { without(unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_OPENAT2).wrap(t, cmd) }, "kernel", "note",
			[]string{"without openat2 (Linux 5.6), Landlock", "not confined to the store", "administrator: a newer kernel"}},
		{"no tun", inside(t, "mount -t tmpfs none /dev/net 2>/dev/null || mount --bind /dev/null /dev/net/tun", mounting...), "network", "note",
			[]string{"/dev/net/tun", "administrator"}},
		{"no overlay", inside(t, `mount --bind /dev/null /dev/fuse; :`, mounting...), "overlay", "warning", []string{"images are copied at each start", "you: keep layers on a local disk"}},
		{"overlay by FUSE", func(cmd *exec.Cmd) { need.Tool(t, "fuse-overlayfs"); noOverlay(unix.ENODEV).wrap(t, cmd) }, "overlay", "warning",
			[]string{"fuse-overlayfs makes containers' files", "more slowly", "you: keep layers on a local disk"}},
		{"no seccomp", inside(t, "sed /^Seccomp/d /proc/$$/status >status && mount --bind status /proc/$$/status", mounting...), "seccomp", "failure",
			[]string{"the kernel has no seccomp", "administrator: a kernel with CONFIG_SECCOMP_FILTER=y"}},
		{"no control groups", inside(t, "mount -t tmpfs none /sys/fs/cgroup", mounting...), "cgroups", "note", []string{"cannot be enforced: ", "what a job uses is measured", "administrator: "}},
		{"a clock that is behind", dated(t, time.Now().Add(48*time.Hour)), "clock", "failure", []string{"the file of this program is from", "administrator: timedatectl set-ntp true"}},
		{"a small disk", inside(t, "mount -t tmpfs -o size=40m none $CORACLE_ROOT", mounting...), "layers", "warning", []string{"are free in", "you: make room"}},
		{"few inodes", inside(t, "mount -t tmpfs -o nr_inodes=1000,size=8g none $CORACLE_ROOT", mounting...), "layers", "warning", []string{"inodes are free", "you: make room"}},
		{"a full disk", inside(t, "mount -t tmpfs -o size=64k,mode=700 none $CORACLE_ROOT && head -c 1m /dev/zero >$CORACLE_ROOT/full 2>/dev/null; :", mounting...), "layers", "failure", []string{"0B are free in", "you: make room"}},
		{"no place for a store", env("CORACLE_ROOT=/proc/none"), "layers", "failure", []string{"/proc/none", "you: choose a directory that you may write to"}},
		{"no place for a container", env("CORACLE_ROOT=/proc/none"), "container", "failure", []string{"there is no place to try one: see layers"}},
		{"no extended attributes", inside(t, "mount -t ramfs none $CORACLE_ROOT", mounting...), "layers", "failure", []string{"no user extended attributes", "you: name a directory on a local disk"}},
		{"read-only", inside(t, "mount --bind $CORACLE_ROOT $CORACLE_ROOT && mount -o remount,ro,bind $CORACLE_ROOT", mounting...), "layers", "failure", []string{"read-only file system", "you: "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			change := tc.change
			if tc.name == "no overlay" {
				change = func(cmd *exec.Cmd) {
					noOverlay(unix.ENODEV).wrap(t, cmd)
					tc.change(cmd)
				}
			}
			e := b.examine(change, "--offline")
			e.has(t, tc.check, tc.state, tc.words...)
			for _, check := range []string{"user-namespaces", "kernel"} {
				if len(e.by[check]) == 0 {
					t.Errorf("%s was not looked at", check)
				}
			}
			nothingLeft(t, b)
		})
	}
}

// limited has a command run with less, as the shell's ulimit has it.
func limited(option string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"bash", "-c", "ulimit " + option + ` && exec "$@"`, "bash"}, cmd.Args...)
		cmd.Path = "/bin/bash"
	}
}

// both makes two changes.
func both(first, second func(*exec.Cmd)) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		first(cmd)
		second(cmd)
	}
}

// Where a process is in systemd's tree is what /proc says of it.
const (
	loginScope = `echo '0::/user.slice/user-1000.slice/session-4.scope' >cgroup && mount --bind cgroup /proc/$$/cgroup &&
		mkdir -p logind && echo '[Login]' >logind/logind.conf && echo KillUserProcesses=yes >>logind/logind.conf && echo KillExcludeUsers= >>logind/logind.conf && mount --bind logind /etc/systemd 2>/dev/null`
	managerScope = `echo '0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope' >cgroup && mount --bind cgroup /proc/$$/cgroup`
)

// dated has a command be that of a program with another date.
func dated(t *testing.T, when time.Time) func(*exec.Cmd) {
	t.Helper()
	return func(cmd *exec.Cmd) {
		program := filepath.Join(t.TempDir(), "coracle")
		content, err := os.ReadFile(cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		need.Program(t, program, string(content))
		if err := os.Chtimes(program, when, when); err != nil {
			t.Fatal(err)
		}
		cmd.Path = program
	}
}
