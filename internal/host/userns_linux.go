package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// NamespaceError is a setting of this host by which an ordinary user gets no user namespaces.
type NamespaceError struct {
	Setting string // where the setting is, as sysctl(8) names it
	Reason  string
	Fix     string // what an administrator can do
}

func (p *NamespaceError) Error() string { return fmt.Sprintf("%s: %s", p.Setting, p.Reason) }

// Hint is the next step for a person.
func (p *NamespaceError) Hint() string { return p.Fix }

// userNamespaceSettings are the known ways to forbid user namespaces, or those that a container has beside, each with the value that
// does it.
var userNamespaceSettings = []forbidding{
	{"0", NamespaceError{
		"user.max_user_namespaces", "is 0, so nobody can make user namespaces on this host",
		"ask the administrator for: sysctl -w user.max_user_namespaces=65536 (and a line in /etc/sysctl.d to keep it)",
	}},
	{"0", NamespaceError{
		"kernel.unprivileged_userns_clone", "is 0, so only root can make user namespaces on this host",
		"ask the administrator for: sysctl -w kernel.unprivileged_userns_clone=1 (and a line in /etc/sysctl.d to keep it)",
	}},
	{"1", NamespaceError{
		"kernel.apparmor_restrict_unprivileged_userns", "is 1, so AppArmor gives user namespaces only to programs whose profile allows them",
		"ask the administrator for an AppArmor profile of coracle with the rule `userns,` in /etc/apparmor.d, or for: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
	}},
	noneOf("mnt", "mount"), noneOf("pid", "pid"), noneOf("ipc", "ipc"), noneOf("uts", "uts"),
}

// forbidding is a setting with the value that forbids something.
type forbidding struct {
	value   string
	problem NamespaceError
}

// noneOf is the limit of one kind of namespaces. The kernel says "no space left on device" of it.
func noneOf(kind, name string) forbidding {
	setting := "user.max_" + kind + "_namespaces"
	return forbidding{"0", NamespaceError{
		setting, "is 0, so nobody can make " + name + " namespaces on this host",
		"ask the administrator for: sysctl -w " + setting + "=65536 (and a line in /etc/sysctl.d to keep it)",
	}}
}

// UserNamespaceProblem is what keeps this process from user namespaces, as a *NamespaceError; nil when it is none of what is known. It
// is to be asked when the kernel has refused one with an error: some of what it looks at need not be in the way.
func UserNamespaceProblem(refusal error) error {
	if err := namespaceProblem("/proc/sys", os.Geteuid() == 0); err != nil {
		return err
	}
	if errors.Is(refusal, unix.ENOSPC) || errors.Is(refusal, unix.EUSERS) {
		return &usedUp
	}
	for _, look := range []func() *NamespaceError{
		func() *NamespaceError { return rootProblem("/proc/self/status", os.Geteuid()) },
		func() *NamespaceError { return filterProblem("/proc/self/status") },
		func() *NamespaceError { return profileProblem("/proc/self/attr") },
		func() *NamespaceError { return chrootProblem("/proc/self/mountinfo") },
		func() *NamespaceError { return selinuxProblem("/sys/fs/selinux/enforce", "/proc/self/attr/current") },
	} {
		if problem := look(); problem != nil {
			return problem
		}
	}
	return nil
}

// usedUp is a limit that is not 0 and is reached all the same, by the caller's other namespaces or by those around this process.
var usedUp = NamespaceError{
	"user.max_*_namespaces", "a limit of namespaces is reached (the kernel calls that \"no space left on device\"), or they are nested 32 deep",
	"end what holds namespaces ('lsns' lists them), or ask the administrator for higher limits: sysctl -w user.max_user_namespaces=65536 user.max_mnt_namespaces=65536 user.max_pid_namespaces=65536",
}

// underFilter is what a container runtime does to those inside.
var underFilter = NamespaceError{
	"seccomp", "a filter of system calls is in force, as inside another container, and forbids user namespaces",
	"run Coracle outside of that container, or start it with a seccomp profile that allows clone and unshare with CLONE_NEWUSER, and mount ('--security-opt seccomp=unconfined' allows everything)",
}

// filterProblem reads proc_pid_status(5).
func filterProblem(status string) *NamespaceError {
	text, err := os.ReadFile(status)
	if err == nil && strings.Contains(string(text), "\nSeccomp:\t2\n") {
		return &underFilter
	}
	return nil
}

// rootProblem: root of a container may make a namespace, and not give its own id to it, without CAP_SETFCAP (user_namespaces(7), since
// Linux 5.12).
func rootProblem(status string, uid int) *NamespaceError {
	text, _ := os.ReadFile(status) // who cannot read it is said to hold nothing, and is not told this
	var held uint64
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			held, _ = strconv.ParseUint(strings.TrimSpace(value), 16, 64) // the kernel's own
		}
	}
	if uid != 0 || held&(1<<unix.CAP_SYS_ADMIN) == 0 || held&(1<<unix.CAP_SETFCAP) != 0 {
		return nil
	}
	return &NamespaceError{
		"CAP_SETFCAP", "this is root inside another container, who lacks that capability and so can be root of no further one",
		"run Coracle outside of that container, or start it with --cap-add SETFCAP, too",
	}
}

// FilteredError is a refusal for which a filter around this process may be the reason. It has a hint for a person.
type FilteredError struct{ Err error }

func (e *FilteredError) Error() string {
	return e.Err.Error() + ": a filter of system calls is in force here, as inside another container, and may be what forbids it"
}

// Unwrap gives the refusal.
func (e *FilteredError) Unwrap() error { return e.Err }

// Hint is the next step for a person.
func (e *FilteredError) Hint() string { return underFilter.Fix }

// ExplainFiltered says of a refusal, told from others by its words, that it may be a filter's, if there is one.
func ExplainFiltered(err error) error {
	if strings.Contains(err.Error(), unix.EPERM.Error()) && filterProblem("/proc/self/status") != nil {
		return &FilteredError{err}
	}
	return err
}

// profileProblem is an AppArmor profile that this process is confined by: "docker-default (enforce)". In newer kernels each module has
// a directory of its own.
func profileProblem(attr string) *NamespaceError {
	for _, name := range []string{"/apparmor/current", "/current"} {
		text, err := os.ReadFile(attr + name)
		profile, ok := strings.CutSuffix(strings.Trim(string(text), "\n\x00"), " (enforce)")
		if err == nil && ok {
			return &NamespaceError{
				"AppArmor", "the profile " + profile + " confines this process, and forbids it",
				"ask the administrator to add the rules `userns, mount, umount, pivot_root, capability,` to that profile, or run Coracle outside of it",
			}
		}
	}
	return nil
}

// chrootProblem: who lives in a chroot gets no user namespace (user_namespaces(7)). There the root is no mount of its own.
func chrootProblem(mountinfo string) *NamespaceError {
	text, err := os.ReadFile(mountinfo)
	const target = 4
	rooted := err != nil // without /proc nothing can be said
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		rooted = rooted || len(fields) > target && fields[target] == "/"
	}
	if rooted {
		return nil
	}
	return &NamespaceError{
		"chroot", "this process lives in a chroot, where the kernel gives nobody user namespaces",
		"run Coracle outside of it, or enter that directory by 'bwrap --bind DIR / COMMAND' or 'systemd-nspawn' instead of chroot",
	}
}

func selinuxProblem(enforce, current string) *NamespaceError {
	on, _ := os.ReadFile(enforce) // it is not there where there is no SELinux
	if strings.TrimSpace(string(on)) != "1" {
		return nil
	}
	context, _ := os.ReadFile(current) // what cannot be read is not said
	return &NamespaceError{
		"SELinux", "it is enforcing, and may be what forbids it to the context " + strings.Trim(string(context), "\n\x00"),
		"'ausearch -m avc -ts recent' shows what was denied; ask the administrator to allow that context user_namespace create",
	}
}

func namespaceProblem(root string, privileged bool) error {
	for i, s := range userNamespaceSettings {
		if privileged && !strings.HasPrefix(s.problem.Setting, "user.") {
			continue // it does not bind root
		}
		raw, err := os.ReadFile(root + "/" + strings.ReplaceAll(s.problem.Setting, ".", "/"))
		if err == nil && strings.TrimSpace(string(raw)) == s.value {
			return &userNamespaceSettings[i].problem
		}
	}
	return nil
}
